"""Label Studio's regions <-> box prompts and tracked boxes.

A region is one object: a `sequence` of key frames, between which the editor draws straight lines. A box is in percent
of the picture from its top left corner; frames count from 1. The editor has no mark for who made a key frame, but it
keeps keys that it does not know, so each key frame that is answered carries a stamp (`STAMP`) of what was answered.
What differs from its stamp, or has none, is the person's own:

- a moved or new box is a **prompt**, and its key frame goes back as it came;
- a switched-off key frame is an **end**: the object is hidden after it, until the person's next prompt.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.answers import Json
from sam2_cog.media.video import VideoInfo
from sam2_cog.prompts import Box, FramePrompt

STAMP = "sam2cog"
VOICE = "sam2-cog: "
"""How every text begins that is written into a region, so that the person's own notes are left alone."""
MOVED = 0.01
"""Percent of the picture, a fifth of a pixel in Full HD: boxes that differ by less are the same."""
EARLY_SECONDS = 0.002
"""By so much the editor sets the player past a frame's time; measured with numbered clips."""
RATES_DIFFER = 0.01
LONGEST = 200_000  # frames of a timeline


@dataclass(frozen=True)
class Track:
    """One object through a clip of n frames."""

    boxes: NDArray[np.float32]
    """(n, 4): x0, y0, x1, y1 in pixels, far edges exclusive; NaN where the object is hidden."""
    scores: NDArray[np.float32]
    """(n,) in [0, 1]."""

    @property
    def is_seen(self) -> bool:
        """Whether the object is on any frame."""
        return not bool(np.isnan(self.boxes[:, 0]).all())

    @property
    def score(self) -> float:
        """The mean over the frames on which the object is seen, 0 if there are none."""
        return round(float(self.scores[~np.isnan(self.boxes[:, 0])].mean()), 4) if self.is_seen else 0.0


@dataclass(frozen=True)
class Timeline:
    """What the editor shows of a clip: its frame f is the clip's frame at (f - 1) / rate seconds."""

    rate: float
    info: VideoInfo

    def index(self, frame: int) -> int:
        """The 0-based frame of the clip that the editor shows as `frame`."""
        later = int(np.searchsorted(self._times, (frame - 1) / self.rate + EARLY_SECONDS, "right"))
        return min(max(later - 1, 0), self.info.frame_count - 1)

    @cached_property
    def _times(self) -> NDArray[np.float64]:
        times: NDArray[np.float64] = self.info.frame_times - self.info.frame_times[0]
        return times

    @property
    def warning(self) -> str:
        """What to say where the editor does not show each of the clip's frames once; empty where it does."""
        real = float(self.info.frame_rate)
        if abs(self.rate / real - 1) <= RATES_DIFFER:
            return ""
        return (
            f"the labeling config plays {self.rate:g} frames a second, but the video has {real:.5g}: "
            f'with framerate="{real:.5g}" in its Video tag every frame is shown once'
        )


@dataclass(frozen=True)
class Stamp:
    """What a key frame was answered with; `box` is None where it was the person's."""

    box: tuple[float, ...] | None
    enabled: bool

    @staticmethod
    def of(source: Any) -> "Stamp | None":
        """Read a stamp; whatever else stands in its place is none."""
        try:
            box, enabled = source["box"], bool(source["enabled"])
            numbers = None if box is None else tuple(float(number) for number in box)
        except (KeyError, TypeError, ValueError):
            return None
        return Stamp(numbers, enabled) if numbers is None or len(numbers) == 4 else None


@dataclass(frozen=True)
class KeyFrame:
    """One item of a region's sequence, checked."""

    frame: int
    box: tuple[float, float, float, float]
    """x, y, width, height in percent."""
    rotation: float
    """Degrees clockwise about the top left corner."""
    enabled: bool
    stamp: Stamp | None

    @property
    def is_prompt(self) -> bool:
        """Whether the person drew or moved this box."""
        if self.stamp is None or self.stamp.box is None:
            return True
        return any(abs(mine - theirs) > MOVED for mine, theirs in zip(self.box, self.stamp.box, strict=True))

    @property
    def is_end(self) -> bool:
        """Whether the person switched the object off here."""
        return not self.enabled and (self.stamp is None or self.stamp.enabled)


@dataclass(frozen=True)
class Region:
    """One object as it came, and its key frames in order."""

    source: Json
    keys: tuple[KeyFrame, ...]

    @staticmethod
    def of(source: Any) -> "Region":
        """Read a region; raises InvalidRequest where it has no usable sequence."""
        try:
            items = source["value"]["sequence"]
            keys = sorted((_key_frame(item) for item in items), key=lambda key: key.frame)
        except (KeyError, TypeError, ValueError):
            raise InvalidRequest("the region's key frames need whole frames and numbers x, y, width, height") from None
        return Region(source, tuple(keys))

    @property
    def prompts(self) -> tuple[KeyFrame, ...]:
        """The person's boxes. One without a stamp that only switches the object off was drawn by the editor."""
        return tuple(
            key for key in self.keys if key.is_prompt and (key.stamp or key.enabled or key.frame == self.keys[0].frame)
        )

    def frame_prompts(self, timeline: Timeline) -> tuple[FramePrompt, ...]:
        """The boxes in pixels, one a frame of the clip (of two, the later); InvalidRequest where that cannot be."""
        width, height = timeline.info.width, timeline.info.height
        found: dict[int, FramePrompt] = {}
        for key in self.prompts:
            index = timeline.index(key.frame)
            box = _pixels(key, width, height)
            if box is None:
                raise InvalidRequest(f"the box on frame {key.frame} lies outside the picture")
            found[index] = FramePrompt(index, (), (), box)
        if not found:
            raise InvalidRequest("the region has no box to start from: draw one, or move one of its boxes")
        return tuple(found[index] for index in sorted(found))

    def answered(self, track: Track, timeline: Timeline) -> Json:
        """The region with a key frame on every frame that shows the object, and the person's own as they were."""
        value = self.source["value"]
        duration = _number(value.get("duration")) or timeline.info.duration_seconds
        count = min(int(_number(value.get("framesCount"))) or round(duration * timeline.rate), LONGEST)
        sequence = list(self._sequence(track, timeline, count))
        value = {**value, "framesCount": count, "duration": duration, "sequence": sequence}
        text = timeline.warning if track.is_seen else "the object was found on no frame: draw its box closer"
        return with_text({**self.source, "value": value, "score": track.score}, text)

    def _sequence(self, track: Track, timeline: Timeline, count: int) -> Iterator[Json]:
        """One item a frame; an item switches off where the next frame has none, as the editor hides from there on."""
        own = {key.frame: key for key in self.prompts}
        ends = [key.frame for key in self.keys if key.is_end]
        boxes = {
            frame: box
            for frame in range(1, count + 1)
            if not _is_over(frame, ends, own) and (box := _shown(own.get(frame), track, timeline, frame))
        }
        for frame, following in pairwise([*boxes, count + 1]):
            ended = any(frame <= end < following for end in ends)
            yield _item(frame, boxes[frame], own.get(frame), following == frame + 1, ended, timeline.rate)


def with_text(region: Mapping[str, Any], text: str) -> Json:
    """The region with `text` in its details, in the place of what was said there before; empty: nothing is said."""
    meta = region.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    notes = meta.get("text")
    kept = [note for note in notes if not str(note).startswith(VOICE)] if isinstance(notes, list) else []
    if text or notes:
        meta["text"] = [*kept, VOICE + text] if text else kept
    return {**region, "meta": meta} if meta else dict(region)


def _key_frame(item: Mapping[str, Any]) -> KeyFrame:
    x, y, width, height = (float(item[name]) for name in ("x", "y", "width", "height"))
    rotation = float(item.get("rotation") or 0)
    if not all(map(math.isfinite, (x, y, width, height, rotation))):
        raise ValueError("not a number")
    enabled, stamp = item.get("enabled", True) is not False, Stamp.of(item.get(STAMP))
    return KeyFrame(int(item["frame"]), (x, y, width, height), rotation, enabled, stamp)


def _pixels(key: KeyFrame, width: int, height: int) -> Box | None:
    """The upright box around a key frame's rectangle, within the picture; None outside of it."""
    x, y, wide, high = (share / 100 * side for share, side in zip(key.box, (width, height) * 2, strict=True))
    turn = complex(math.cos(math.radians(key.rotation)), math.sin(math.radians(key.rotation)))
    corners = [
        complex(x, y) + corner * turn for corner in (0j, complex(wide, 0), complex(wide, high), complex(0, high))
    ]
    xs, ys = [corner.real for corner in corners], [corner.imag for corner in corners]
    box = max(min(xs), 0.0), max(min(ys), 0.0), min(max(xs), float(width)), min(max(ys), float(height))
    return box if box[0] < box[2] and box[1] < box[3] else None


def _is_over(frame: int, ends: Sequence[int], own: Mapping[int, KeyFrame]) -> bool:
    """Whether the person's last word before this frame was an end."""
    last_end = max((end for end in ends if end < frame), default=0)
    return last_end > 0 and not any(last_end < prompt <= frame for prompt in own)


def _shown(key: KeyFrame | None, track: Track, timeline: Timeline, frame: int) -> tuple[float, ...] | None:
    """The box of one frame in percent: the person's, else the tracked one."""
    if key is not None:
        return key.box
    x0, y0, x1, y1 = track.boxes[timeline.index(frame)].tolist()
    if math.isnan(x0):
        return None
    x_share, y_share = 100 / timeline.info.width, 100 / timeline.info.height
    return x0 * x_share, y0 * y_share, (x1 - x0) * x_share, (y1 - y0) * y_share


def _item(frame: int, box: Sequence[float], own: KeyFrame | None, enabled: bool, ended: bool, rate: float) -> Json:
    """One key frame; the stamp of an end says that it was answered as on, so that it is known as an end again."""
    rounded = [round(number, 4) for number in box]
    return {
        "frame": frame,
        "time": frame / rate,
        **dict(zip(("x", "y", "width", "height"), box if own else rounded, strict=True)),
        "rotation": own.rotation if own else 0,
        "enabled": enabled,
        STAMP: {"box": None if own else rounded, "enabled": enabled or ended},
    }


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0.0
