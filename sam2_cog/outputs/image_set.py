"""A zip with a picture per image of an `ImageSet`, in its own size and by its own name, and `manifest.json`.

The folders are those of `archive`: `frames/<image>.<format>`, or `masks/<object>/<image>.png` for the mask types that
are exact. An image is in it if something is clicked on it, and has the masks of what is clicked there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sam2_cog.masks import FrameMasks
from sam2_cog.media.image_set import ImageSet
from sam2_cog.media.video import Frame
from sam2_cog.outputs.archive import Archive, encoders
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts, Watch
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.json_lines import JsonLines, document
from sam2_cog.outputs.manifest import head
from sam2_cog.outputs.zip_file import ZipFileWriter


class ImageSetOutput(Output):
    """See the module. A frame's index is its image's number; it has the masks of all objects, empty where not asked."""

    suffix = ".zip"

    def __init__(
        self, spec: OutputSpec, kind: type[Archive], images: ImageSet, asked: Mapping[int, Sequence[int]]
    ) -> None:
        """spec.video: any of the images. kind: how their pictures are encoded. asked: image -> objects, as indices."""
        super().__init__(spec)
        self._kind = kind
        self._images = images
        self._asked = asked
        self._stems = safe_names([PurePosixPath(name).stem for name in images.names])
        self._folders = kind(spec).folders
        self._lines = JsonLines()
        self._zip: ZipFileWriter | None = None

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Write an image with its masks; nothing is compared with the one before, which is another picture."""
        with self._writing():
            self._add(frame, masks, Watch(self.spec.names).see(masks))
        self.frames_written += 1

    def _open(self, path: Path) -> None:
        self._zip = ZipFileWriter(path, min(map(encoders, self._images.images)))

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        assert self._zip is not None
        asked, stem = self._asked[frame.index], self._stems[frame.index]
        pictures = self._kind(replace(self.spec, video=self._images.images[frame.index]))
        names = []
        for name, content in pictures.files(frame, masks, stem, asked):
            self._zip.store(name, content)
            names.append(name)
        self.paint_seconds += pictures.paint_seconds
        pictures.discard()
        height, width = frame.image.shape[:2]
        image = {"image": self._images.names[frame.index], "width": width, "height": height, "files": names}
        found = [facts[index].as_dict() for index in asked]
        self._lines.add({"number": len(self._lines), "frame": frame.index, **image, "objects": found})
        missed = [self.spec.names[index] for index in asked if not facts[index].visible]
        self.notes += [
            f"{name} has no mask on image {frame.index} ({self._images.names[frame.index]})" for name in missed
        ]

    def _hardly_found(self) -> list[str]:
        return []

    def _finish(self) -> None:
        assert self._zip is not None
        said = head(self.spec, self._folders, self.notes)
        said["video"] = {"name": self._images.path.name, "frame_count": len(self._images.names)}
        self._zip.deflate("manifest.json", document(said, frames=self._lines))
        self._zip.finish()

    def _stop(self) -> None:
        self._lines.close()
        if self._zip is not None:
            self._zip.stop()
