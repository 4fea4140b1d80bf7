"""What the tests of outputs share: masks, a written file of any kind, and what ffprobe and ffmpeg say of it."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.ffmpeg_run import passthrough
from sam2_cog.media.video import VideoInfo, probe, read_frames
from sam2_cog.outputs import OutputSpec, output_for
from tests.clips import CARD, LOSSLESS, write_clip

NAMES = ("dog", "cat")


def masks_of(info: VideoInfo, index: int) -> FrameMasks:
    """Two masks that move with the frame; the second object is not there on every third frame."""
    masks = np.zeros((2, info.height, info.width), bool)
    masks[0, : info.height // 2, index % info.width :] = True
    masks[1, info.height // 2 :, : info.width // 2] = index % 3 != 2
    scores = np.array([0.5, 0.25 + index / 1000], np.float32)
    return FrameMasks(index, tuple(ObjectMask.of(mask) for mask in masks), scores, np.ones(2, np.float32))


def soft_masks_of(info: VideoInfo, index: int) -> FrameMasks:
    """Two discs that move with the frame, with logits at a quarter of the size, as the tracker makes them."""
    height, width = info.height, info.width
    rows, columns = np.mgrid[: max(1, height // 4), : max(1, width // 4)] * 4 + 1.5
    centres = ((height * 0.45, width * 0.3 + index), (height * 0.6, width * 0.7))
    radii = (height * 0.3, height * 0.2)
    discs = [r - np.hypot(rows - y, columns - x) for (y, x), r in zip(centres, radii, strict=True)]
    soft = np.stack(discs).astype(np.float16)
    large = [cv2.resize(plane.astype(np.float32), (width, height)) for plane in soft]
    masks = tuple(ObjectMask.of(np.asarray(plane > 0)) for plane in large)
    return FrameMasks(index, masks, np.array([0.9, 0.8], np.float32), np.ones(2, np.float32), soft)


def shapes_of(info: VideoInfo, index: int) -> FrameMasks:
    """Masks that are hard to write: one with a hole and a part apart, one in the corner, gone on every third frame."""
    height, width = info.height, info.width
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((2, height, width), bool)
    distance = np.hypot(rows - height * 0.55, columns - width * 0.4)
    masks[0] = (distance < height * 0.35) & (distance > height * 0.15)
    masks[0, 2:5, 2:9] = True
    masks[1, height // 2 :, width - 12 - index :] = index % 3 != 2
    scores = np.array([0.5, 0.25], np.float32)
    return FrameMasks(index, tuple(map(ObjectMask.of, masks)), scores, np.array([3, -1.5], np.float32))


def spec_for(info: VideoInfo, path: Path, **options: Any) -> OutputSpec:
    return OutputSpec(path, info, NAMES, **{"mask_type": "highlighted", **options})


def write(
    spec: OutputSpec, output_format: str = "mp4", masks_of: Callable[[VideoInfo, int], FrameMasks] = masks_of
) -> Path:
    """All frames of the spec's video, written; nothing but the result may lie beside it."""
    others = set(spec.path.parent.iterdir())
    with output_for(output_format, spec) as output:
        for frame in read_frames(spec.video):
            number = spec.video.numbers[frame.index]
            output.write(replace(frame, index=number), masks_of(spec.video, number))
    expected = -(-spec.video.frame_count // spec.frame_interval)
    assert output.frames_written == expected and output.encode_seconds > 0
    assert set(spec.path.parent.iterdir()) == others | {spec.path}
    return spec.path


def copy_clip(source: Path, target: Path, **options: Any) -> Path:
    return write(spec_for(probe(source), target, **options))


def stream(path: Path, kind: str = "v:0") -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-select_streams", kind, "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    return streams[0] if streams else {}


def packets(path: Path, kind: str = "a:0") -> list[tuple[float, str]]:
    """(time in seconds, hash of the content) of each packet of a stream."""
    entries = "packet=pts_time,data_hash"
    command = ["ffprobe", "-v", "error", "-select_streams", kind, "-show_packets", "-show_data_hash", "md5"]
    text = subprocess.run(
        [*command, "-show_entries", entries, "-of", "json", str(path)], capture_output=True, check=True
    )
    return [(float(packet["pts_time"]), packet["data_hash"]) for packet in json.loads(text.stdout)["packets"]]


def decoded(path: Path) -> list[np.ndarray]:
    return [frame.image for frame in read_frames(probe(path))]


def player_frames(path: Path, *decoder: str, pixel_format: str = "rgba") -> np.ndarray:
    """(frames, height, width, channels) as ffmpeg converts them by the tags of the file: an opinion from outside."""
    info = stream(path)
    every_frame = [word for name, value in passthrough().items() for word in (f"-{name}", value)]
    command = ["ffmpeg", "-v", "error", *decoder, "-i", str(path), "-f", "rawvideo", *every_frame]
    command += ["-vf", f"scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp,format={pixel_format}", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, info["height"], info["width"], len(pixel_format))


def card_clip(folder: Path, frames: int = 2) -> VideoInfo:
    """The test card as columns of 32 pixels in one colour each, exact to the pixel."""
    flat = np.repeat(np.repeat(CARD[None, None], 32, axis=1), 32, axis=2).repeat(frames, axis=0)
    return probe(write_clip(folder / "card.mkv", flat, **LOSSLESS))


def everything(info: VideoInfo, index: int) -> FrameMasks:
    """One object that fills the frame, and one that is nowhere."""
    whole = np.stack((np.ones((info.height, info.width), bool), np.zeros((info.height, info.width), bool)))
    return FrameMasks(index, tuple(map(ObjectMask.of, whole)), np.ones(2, np.float32), np.ones(2, np.float32))


def unpacked(path: Path) -> Path:
    """The zip's files in a folder beside it."""
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder
