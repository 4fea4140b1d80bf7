"""Where the checkpoint of a request lies, and all that it depends on: with anything else its run begins anew."""

import hashlib
import json
import os
from pathlib import Path

import torch

from sam2_cog import __version__
from sam2_cog.engine.checkpoints import fingerprint
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.run_checkpoint import STATE, SUFFIX, RunCheckpoint
from sam2_cog.errors import InvalidRequest
from sam2_cog.media.ffmpeg_run import version
from sam2_cog.media.frame_archive import files_of
from sam2_cog.media.video import VideoInfo
from sam2_cog.request import LONGEST_NAME, Request

SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 86_400.0


def check_seconds(seconds: float) -> None:
    """Raise InvalidRequest if states cannot be so many seconds apart."""
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        allowed = f"a number of seconds from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}"
        raise InvalidRequest(f"checkpoint: {seconds:g} is not allowed, it must be {allowed}")


def check_checkpoint(seconds: float, output: Path) -> None:
    """Raise InvalidRequest if there cannot be a checkpoint every so many seconds beside this output."""
    check_seconds(seconds)
    if output == Path("-"):
        raise InvalidRequest("checkpoint: it is kept beside the output, which must be a file, not the standard output")
    if len(os.fsencode(folder_beside(output).name)) > LONGEST_NAME:
        most = LONGEST_NAME - len(folder_beside(Path("x")).name) + 1
        raise InvalidRequest(
            f"output: {output.name[:40]!r}... is too long for a checkpoint beside it: {most} bytes at most"
        )


def open_checkpoint(
    seconds: float, output: Path, request: Request, model: LoadedModel, info: VideoInfo
) -> RunCheckpoint:
    """The checkpoint of a request, not yet entered; the video is read once for it."""
    counted = f"{info.frame_count}{' promised' if info.promised else ''}"  # a promise that breaks leaves nothing behind
    return RunCheckpoint(
        folder_beside(output), seconds, {**_belongs_to(request, model), "count of frames": counted}, model.device
    )


def folder_beside(output: Path) -> Path:
    """The folder that holds the checkpoint of an output."""
    return output.with_name(f".{output.name}{SUFFIX}")


def last_saved(output: Path) -> int:
    """When the checkpoint of an output was saved last, in nanoseconds since 1970; 0 where there is none."""
    state = folder_beside(output) / STATE
    return state.stat().st_mtime_ns if state.exists() else 0


def _belongs_to(request: Request, model: LoadedModel) -> dict[str, str]:
    """What the masks and the finished file depend on. Files count by their content: a copy elsewhere is the same."""
    given = [_digest(path) for path in (request.masks, request.boxes) if path]
    return {
        "request": json.dumps([request.inputs, given], sort_keys=True, default=str),
        "video": _digest(request.video),
        "model": f"{model.name} {fingerprint(model.name)} {model.network.image_size} {model.device.type}",
        "version": f"sam2-cog {__version__}, torch {torch.__version__}, ffmpeg {version()}",
    }


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names."""
    if path.is_dir():
        found = [[str(file.relative_to(path)), _digest(file)] for file in sorted(files_of(path))]
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
