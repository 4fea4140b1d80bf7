"""What does each format cost, beside supervision? Frames of 1080p per processor second: `python -m benchmarks.outputs`.

The same frames (the sample, enlarged) and the same masks (blobs that move) go to every format and to supervision's
annotators with its video sink, in turn. Counted is all processor time, ffmpeg's too; the fastest of the repeats counts.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv

from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import Frame, VideoInfo, probe, read_frames
from sam2_cog.outputs import OUTPUTS, OutputSpec, output_for

WIDTH, HEIGHT = 1920, 1080
NETWORK_SIZE = 256
SAMPLE = Path(__file__).parent.parent / "samples" / "two_birds.mp4"
MASK_TYPES: dict[str, tuple[str, ...]] = {
    "mp4": ("highlighted", "binary", "greenscreen"),
    "mov": ("highlighted", "binary", "cutout"),
    "webm": ("highlighted", "binary", "cutout"),
    "png": ("highlighted", "binary", "cutout", "probability"),
    "webp": ("highlighted", "cutout"),
}
"""Of formats in which they differ; else `highlighted`, which data sets pass over."""


@dataclass(frozen=True)
class Clip:
    """Frames with their masks."""

    info: VideoInfo
    frames: tuple[Frame, ...]
    masks: tuple[FrameMasks, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"object_{number + 1}" for number in range(len(self.masks[0].objects)))


def main() -> None:
    """Print a row per format, a column per number of objects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--formats", nargs="+", default=list(OUTPUTS))
    parser.add_argument("--quick", action="store_true", help="8 frames, one object, once: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.objects, arguments.frames, arguments.repeats = [1], 8, 1
    cv2.setNumThreads(1)
    clips = [_clip(arguments.frames, count) for count in arguments.objects]
    columns = "".join(f"  {count:>4} obj." for count in arguments.objects)
    print(f"{'frames per processor second':42}{columns}  MiB with {arguments.objects[0]}", flush=True)
    peers: dict[str, Callable[[Clip, Path], None]] = {
        "supervision: MaskAnnotator, VideoSink": _supervision_masks,
        "supervision: and PolygonAnnotator": _supervision_outlines,
    }
    for name, peer in peers.items():
        _row(name, peer, ".mp4", clips, arguments.repeats)
    for output_format in arguments.formats:
        for mask_type in MASK_TYPES.get(output_format, ("highlighted",)):
            row = f"{output_format} {mask_type}" if output_format in MASK_TYPES else output_format
            write = _ours(output_format, mask_type)
            _row(row, write, OUTPUTS[output_format].suffix, clips, arguments.repeats)


def _row(name: str, write: Callable[[Clip, Path], None], suffix: str, clips: Sequence[Clip], repeats: int) -> None:
    rates, size = [], 0
    for clip in reversed(clips):
        seconds = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"out{suffix}"
                begin = _processor_seconds()
                write(clip, path)
                seconds.append(_processor_seconds() - begin)
                size = path.stat().st_size
        rates.append(len(clip.frames) / min(seconds))
    print(f"{name:42}" + "".join(f"  {rate:9.1f}" for rate in reversed(rates)) + f"  {size / 2**20:10.1f}", flush=True)


def _ours(output_format: str, mask_type: Any) -> Callable[[Clip, Path], None]:
    def write(clip: Clip, path: Path) -> None:
        spec = OutputSpec(path, clip.info, clip.names, mask_type=mask_type)
        with output_for(output_format, spec) as output:
            for frame, masks in zip(clip.frames, clip.masks, strict=True):
                output.write(frame, masks)

    return write


def _supervision_masks(clip: Clip, path: Path) -> None:
    _supervision(clip, path, [sv.MaskAnnotator(color_lookup=sv.ColorLookup.TRACK)])


def _supervision_outlines(clip: Clip, path: Path) -> None:
    outlines = sv.PolygonAnnotator(color_lookup=sv.ColorLookup.TRACK)
    _supervision(clip, path, [sv.MaskAnnotator(color_lookup=sv.ColorLookup.TRACK), outlines])


def _supervision(clip: Clip, path: Path, annotators: Sequence[Any]) -> None:
    with sv.VideoSink(str(path), sv.VideoInfo(width=WIDTH, height=HEIGHT, fps=24)) as sink:
        for frame, masks in zip(clip.frames, clip.masks, strict=True):
            picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            for annotator in annotators:
                picture = annotator.annotate(picture, masks.to_supervision())
            sink.write_frame(picture.astype(np.uint8, copy=False))


def _clip(count: int, objects: int) -> Clip:
    """The sample's first frames in 1080p; blobs in a grid, which move and change their shape, with their logits."""
    sample = probe(SAMPLE)
    source = islice(read_frames(sample), count)
    images = [np.asarray(cv2.resize(frame.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)) for frame in source]
    pts = sample.pts[:count]
    info = replace(sample, width=WIDTH, height=HEIGHT, frame_count=count, has_audio=False, pts=pts)
    times = sample.frame_times[:count].tolist()
    frames = tuple(Frame(index, times[index], image.astype(np.uint8)) for index, image in enumerate(images))
    return Clip(info, frames, tuple(_masks(index, objects) for index in range(count)))


def _masks(index: int, objects: int) -> FrameMasks:
    side = int(np.ceil(np.sqrt(objects)))
    rows, columns = np.mgrid[:NETWORK_SIZE, :NETWORK_SIZE] / NETWORK_SIZE * side
    planes = []
    for number in range(objects):
        y, x = divmod(number, side)
        down, across = rows - y - 0.5, columns - x - 0.5 - 0.1 * np.sin(index / 8 + number)
        angle = np.arctan2(down, across)
        planes.append(20 * (0.3 + 0.05 * np.sin(5 * angle + index / 6) - np.hypot(down, across)))
    soft = np.array(planes, np.float16)
    large = (cv2.resize(plane.astype(np.float32), (WIDTH, HEIGHT)) > 0 for plane in soft)
    ones = np.ones(objects, np.float32)
    return FrameMasks(index, tuple(ObjectMask.of(np.asarray(mask)) for mask in large), ones, ones, soft)


def _processor_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
