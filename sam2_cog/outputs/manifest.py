"""`manifest.json`: what was asked for, the video, the objects, and what was found on each written frame."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

from sam2_cog import __version__
from sam2_cog.media.ffmpeg_run import version
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.json_lines import JsonLines, document
from sam2_cog.painting.render import object_colour
from sam2_cog.prompts import FramePrompt, ObjectPrompts


class Manifest:
    """Gathers one line per frame; `pieces` is the whole file."""

    def __init__(self, spec: OutputSpec, folders: tuple[str, ...] = (), *, notes: Sequence[str] = ()) -> None:
        """`folders` are the objects' folders, or files, in the archive; empty where they have none.

        notes: what was lost on the way, beside what `spec.video` tells of itself; read when the file is written.
        """
        self._spec = spec
        self._notes = notes
        self._folders = folders
        self._frames = JsonLines()

    def add(self, frame: Frame, facts: Sequence[ObjectFacts]) -> None:
        """Note a written frame: its number here and in the video, its time, each object's facts."""
        self._frames.add(
            {
                "number": len(self._frames),
                "frame": frame.index,
                "time_seconds": round(frame.time_seconds, 6),
                "objects": [one.as_dict() for one in facts],
            }
        )

    def pieces(self) -> Iterator[bytes]:
        """The whole file, bit by bit, as UTF-8 JSON with one frame a line."""
        yield from document(head(self._spec, self._folders, self._notes), frames=self._frames)

    def close(self) -> None:
        """Let go of the gathered lines."""
        self._frames.close()


def head(spec: OutputSpec, folders: Sequence[str] = (), notes: Sequence[str] = ()) -> dict[str, Any]:
    """All that is said of a run beside its frames: see `Manifest`."""
    video = spec.video
    return {
        "versions": {"sam2-cog": __version__, "torch": _version_of("torch"), "ffmpeg": version()},
        "model": spec.model,
        "request": dict(spec.inputs),
        "notes": [*video.notes, *notes],
        "video": {
            "name": video.path.name,
            "width": video.width,
            "height": video.height,
            "frame_rate": str(video.frame_rate),
            "frame_count": video.frame_count,
            "duration_seconds": round(video.duration_seconds, 6),
        },
        "objects": [
            {
                "index": index,
                "name": name,
                "colour": "#{:02x}{:02x}{:02x}".format(*object_colour(index)),
                "folder": folders[index] if folders else None,
                "prompts": _prompts(spec.prompts[index]) if spec.prompts else [],
            }
            for index, name in enumerate(spec.names)
        ],
    }


def _prompts(prompts: ObjectPrompts) -> list[dict[str, Any]]:
    """What the clicks were understood as, by frame."""
    kinds = ((prompts.prompts, False), (prompts.corrections, True))
    entries = [_prompt(one, correction) for found, correction in kinds for one in found]
    return sorted(entries, key=lambda entry: int(entry["frame"]))


def _prompt(prompt: FramePrompt, correction: bool) -> dict[str, Any]:
    return {
        "frame": prompt.frame_index,
        "correction": correction,
        "points": [list(point) for point in prompt.points],
        "labels": list(prompt.labels),
        "box": list(prompt.box) if prompt.box else None,
        "mask_area": prompt.mask.area if prompt.mask else None,
    }


@lru_cache
def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
