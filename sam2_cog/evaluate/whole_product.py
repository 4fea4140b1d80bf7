"""The product as something to measure: clicks go the whole way from file to archive, masks straight to the tracker."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.evaluate.datasets import LabelledClip
from sam2_cog.evaluate.scoring import MaskPrompt, Predict, Prompts
from sam2_cog.held import HeldFolder
from sam2_cog.limits import Deadline
from sam2_cog.masks import Mask, ObjectMask
from sam2_cog.media.video import probe
from sam2_cog.pipeline import segment_video
from sam2_cog.progress import quiet
from sam2_cog.prompts import FramePrompt, ObjectPrompts, PromptStrings, format_prompts
from sam2_cog.request import Request
from sam2_cog.runs.watched_clip import WatchedClip

Segment = Callable[[Path, PromptStrings, Path], Path]
"""(video, prompts, folder) -> the `png` archive of `binary` masks, written into the folder."""
Track = Callable[[Path, Sequence[MaskPrompt]], Iterator[tuple[int, Mask]]]
"""(video, one mask per object) -> every frame's number with its (objects, H, W) masks, forward only."""


def product_of(model: LoadedModel) -> Predict:
    """This project itself, with a loaded model."""

    def segment(video: Path, prompts: PromptStrings, folder: Path) -> Path:
        request = Request(video, **vars(prompts), mask_type="binary", output_format="png")
        return segment_video(request, model, folder / "masks.zip", quiet).path

    def track(video: Path, masks: Sequence[MaskPrompt]) -> Iterator[tuple[int, Mask]]:
        objects = [
            ObjectPrompts(
                f"object_{i + 1}", i, (FramePrompt(given.frame_index, (), (), None, ObjectMask.of(given.mask)),), ()
            )
            for i, given in enumerate(masks)
        ]
        for frame, found in Tracker(model).track(WatchedClip(probe(video), 0, quiet, Deadline()), objects, "forward"):
            yield frame.index, found.array()

    return product(segment, track)


def product(segment: Segment, track: Track) -> Predict:
    """What `evaluate_clip` asks for: files live in a folder of their own that is gone after each clip."""

    def predict(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
        given = [prompt for prompt in prompts if isinstance(prompt, MaskPrompt)]
        clicked = [prompt for prompt in prompts if isinstance(prompt, ObjectPrompts)]
        with HeldFolder() as folder:
            video = clip.as_video(folder)
            if given:
                yield from track(video, given)
            else:
                archive = segment(video, format_prompts(clicked), folder)
                yield from read_archive(archive, [one.name for one in clicked])

    return predict


def read_archive(path: Path, names: Sequence[str]) -> Iterator[tuple[int, Mask]]:
    """Yield the frames of an archive of binary masks: number, and (objects, H, W) bool in the order of the names."""
    with zipfile.ZipFile(path) as archive:
        folder = f"masks/{names[0]}/"
        for member in sorted(member for member in archive.namelist() if member.startswith(folder)):
            image = member.removeprefix(folder)
            masks = [_read_mask(archive.read(f"masks/{name}/{image}")) for name in names]
            yield int(image.removesuffix(".png")), np.stack(masks)


def _read_mask(data: bytes) -> Mask:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image) > 127
