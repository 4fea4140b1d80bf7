"""`manifest.json` of an archive: the video, the objects, and what was found on each written frame."""

import json
import tempfile
from collections.abc import Iterator
from typing import Any

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.painting.render import object_colour

_PIECE = 1 << 16
_IN_MEMORY = 1 << 20


class Manifest:
    """Gathers one line per frame in a file of its own, because an archive can only be written from front to back."""

    def __init__(self, spec: OutputSpec, folders: tuple[str, ...]) -> None:
        """`folders` are the objects' folders, or files, in the archive; empty where they have none."""
        self._spec = spec
        self._folders = folders
        self._frames = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed by close()
        self._count = 0

    def add(self, frame: Frame, masks: FrameMasks) -> None:
        """Note a written frame: number, time from the clip's beginning, and each object's area, box and score."""
        found = [
            {"index": index, "area": mask.area, "box": mask.box, "score": round(float(score), 4)}
            for index, (mask, score) in enumerate(zip(masks.objects, masks.scores, strict=True))
        ]
        line = {"frame": frame.index, "time_seconds": round(frame.time_seconds, 6), "objects": found}
        self._frames.write((",\n  " if self._count else "\n  ").encode() + json.dumps(line).encode())
        self._count += 1

    def pieces(self) -> Iterator[bytes]:
        """The whole file, bit by bit, as UTF-8 JSON with one frame a line."""
        head = json.dumps(self._head(), ensure_ascii=False, indent=1).removesuffix("\n}")
        yield head.encode("utf-8") + b',\n "frames": ['
        self._frames.seek(0)
        while piece := self._frames.read(_PIECE):
            yield piece
        yield b"\n ]\n}\n"

    def close(self) -> None:
        """Let go of the gathered lines."""
        self._frames.close()

    def _head(self) -> dict[str, Any]:
        spec, video = self._spec, self._spec.video
        return {
            "model": spec.model,
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
                    "folder": self._folders[index] if self._folders else None,
                }
                for index, name in enumerate(spec.names)
            ],
        }
