"""Images of different sizes in one zip or folder: each a picture for itself, none follows from another."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sam2_cog.media.frame_archive import probe_each, read_chosen
from sam2_cog.media.numbered_sequence import odd_frame
from sam2_cog.media.refusals import unreadable
from sam2_cog.media.stream_header import DEFAULT_RATE
from sam2_cog.media.video import Frame, VideoInfo, image_info


@dataclass(frozen=True)
class ImageSet:
    """The images in the natural order of their names; an image's number is its place, from 0."""

    path: Path
    names: tuple[str, ...]
    images: tuple[VideoInfo, ...]
    """Each as a clip of one frame."""

    def read(self, chosen: Collection[int]) -> Generator[Frame, None, None]:
        """The images with these numbers, in order; a frame's index is the image's number.

        Raises:
            UnreadableVideo: the file changed since it was looked at.
        """
        for number, pixels in read_chosen(self.path, chosen):
            info = self.images[number]
            if pixels.shape[:2] != (info.height, info.width):
                raise unreadable(self.path, f"was changed while it was read: image {number} is of another size")
            yield Frame(number, 0.0, pixels)


def probe_image_set(path: Path, *, headers_only: bool = False) -> ImageSet:
    """Look through a zip or a folder of images of any sizes; a damaged one is found here.

    headers_only: nothing is decoded, damage stays unknown.

    Raises:
        UnreadableVideo: it holds no usable image, a damaged one, images in several folders, or the frames of a clip of
            which a few have another size (see `numbered_sequence`).
    """
    path = path.absolute()
    try:
        names, images = probe_each(path, headers_only=headers_only)
    except PermissionError:
        raise unreadable(path, "cannot be opened: permission denied") from None
    _refuse_frames(path, names, [(image.width, image.height) for image in images])
    return ImageSet(path, names, tuple(image_info(path, image, DEFAULT_RATE) for image in images))


def _refuse_frames(path: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> None:
    found = odd_frame(names, sizes)
    if found is None:
        return
    place, usual, alike = found
    odd, size = ("{}x{}".format(*one) for one in (sizes[place], usual))
    raise unreadable(
        path,
        f"holds an image of {odd} ({names[place]}), but {alike} of the {len(names)} images of this numbered sequence "
        f"are {size}: for a clip all must be so, for separate images give one a name without a number",
    )
