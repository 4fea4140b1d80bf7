"""What can be asked for: the inputs of `predict()` and the flags of the command line, checked when made."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

from sam2_cog.errors import InvalidRequest, quoted, shortened
from sam2_cog.prompts import PROPAGATIONS
from sam2_cog.reading.click_lists import POINTS_EXAMPLE

MaskType = Literal["binary", "highlighted", "greenscreen", "cutout", "probability"]
AnnotationType = Literal["mask", "box", "both"]

FrameImages = Literal["jpg", "png", "none"]

CHROMA_GREEN = (0, 255, 0)
"""Pure green, what the chroma keyers of editors look for unless told otherwise."""
TRANSPARENT = ("mov", "webm", "png", "webp")
"""Output formats with an alpha channel."""
OPAQUE = ("mp4", "jpg")
"""Pictures and videos without one."""
GRADED = ("png", "npz")
"""Output formats that keep probabilities as they are."""

FILES = ("video", "masks", "boxes")
"""The inputs that are files."""

SLOWEST_FPS = 0.01
NTSC_RATES = (24, 30, 48, 60, 120, 240)  # that are also shown 1.001 times slower, since colour television
LONGEST_PATH, LONGEST_NAME = 4096, 255  # bytes, on Linux


@dataclass(frozen=True)
class Option:
    """What an input means, and which values it takes. `low` and `high` are inclusive; no choices: any value."""

    description: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


def _input(default: Any, description: str, **limits: Any) -> Any:
    return field(default=default, metadata={"option": Option(description, **limits)})


@dataclass(frozen=True)
class Request:
    """One request; raises InvalidRequest for what can be refused without looking at the video."""

    video: Path = field(
        metadata={
            "option": Option(
                "A video (MP4, MOV, MKV, WebM, GIF, ...), a .zip or a folder of numbered frames "
                "(JPEG, PNG, WebP, BMP, TIFF) or of videos (shots), or an image."
            )
        }
    )
    click_coordinates: str = _input(
        "",
        "Clicks as [x,y],[x,y],... in pixels of the displayed frame, origin top left; "
        "[x0,y0,x1,y1] is a box around an object. Needed unless masks or boxes are given.",
    )
    click_labels: str = _input(
        "1", "For each click 1 (foreground) or 0 (background), with commas; if there are too few, the last one repeats."
    )
    click_frames: str = _input(
        "0",
        "For each click the number of its frame, from 0, with commas; if there are too few, the last one repeats. "
        "Of shots 1:12 is frame 12 of shot 1, both from 0.",
    )
    click_object_ids: str = _input(
        "",
        "For each click the name of its object, with commas; the same name is the same object. "
        "Without a name, a click is an object of its own: object_1, object_2, ...",
    )
    click_corrections: str = _input(
        "0",
        "For each click 1 if it corrects the mask that was tracked up to its frame, or 0 if it starts anew there, with "
        "commas; if there are too few, the last one repeats. Background clicks alone on a frame always correct.",
    )
    click_candidates: str = _input(
        "0",
        "For each click which of the network's three masks for it alone is meant, 1, 2 or 3, or 0 for the one that it "
        "rates best, with commas; if there are too few, the last one repeats. Further clicks of the object on the "
        "frame refine it.",
    )
    masks: Path | None = _input(
        None,
        "Masks of objects to follow: a .zip with masks/<object>/<frame>.png, as binary archives of this project have, "
        "or one PNG in which each value above 0 is an object.",
    )
    mask_frames: str = _input(
        "", "The frames of a .zip of masks to use, with commas, all if empty; the frame that one PNG is on, 0 if empty."
    )
    boxes: Path | None = _input(
        None,
        "Boxes of objects to follow, from a detector: a CSV (frame, name, x0, y0, x1, y1), a COCO data set (.json), "
        "or a YOLO text file for frame 0.",
    )
    mask_type: MaskType = _input(
        "highlighted",
        "What is shown: binary (white objects on black), highlighted (each object in its own colour), "
        "greenscreen (the objects on one colour), cutout (the objects on transparency: mov, webm, png, webp) "
        "or probability (how sure the network is of each pixel: png, npz).",
        choices=get_args(MaskType),
    )
    annotation_type: AnnotationType = _input(
        "mask",
        "How highlighted marks an object: its mask, a box with its name, or both.",
        choices=get_args(AnnotationType),
    )
    background_color: str = _input("#00ff00", "The colour behind the objects of greenscreen, as #rrggbb.")
    output_format: str = _input(
        "mp4",
        "mp4, mov (ProRes 4444) and webm (VP9) are videos; png, webp and jpg are a .zip of pictures with a "
        "manifest.json, or of one image one picture. A binary archive holds a folder of PNG masks per object, whatever "
        "the format. csv is a table, jsonl a line of JSON per frame, npz holds NumPy arrays; the others are data sets "
        "of frames and masks in a .zip. These all hold the masks, whatever the mask_type.",
        choices=(
            *("mp4", "mov", "webm", "png", "webp", "jpg", "csv", "jsonl", "npz"),
            *("coco", "ytvis", "yolo", "davis", "cvat", "label_studio", "x_anylabeling"),
        ),
    )
    separate_objects: bool = _input(
        False, "One video or folder of pictures per object, in a .zip; binary archives are always so."
    )
    output_quality: int = _input(
        80, "Quality of videos, webp and jpg, from 1 (smallest file) to 100 (best picture).", low=1, high=100
    )
    frame_images: FrameImages = _input(
        "jpg", "Which files a data set holds the frames in; none leaves them out.", choices=get_args(FrameImages)
    )
    start_frame: int = _input(
        0, "Number of the first frame that is used, from 0; frames keep their numbers of the whole video.", low=0
    )
    end_frame: int = _input(
        -1, "Number of the last frame that is used, itself included; -1 is the video's last.", low=-1
    )
    frame_stride: int = _input(
        1, "Use every n-th frame from start_frame on; the frames between are neither tracked nor written.", low=1
    )
    output_frame_interval: int = _input(
        1, "Write every n-th frame; the sound is kept only when every frame is written.", low=1
    )
    video_fps: float = _input(
        0.0,
        "Frame rate of the output, and of a .zip of frames; 0 keeps the source's own frame times (24 for a .zip). "
        "Frames are never added or dropped, so another rate plays faster or slower, without sound.",
        low=0,
        high=240,
    )
    smallest_part: float = _input(
        0.0,
        "Leaves out parts of a mask with fewer pixels than this many percent of its largest part; "
        "0 keeps the network's masks as they are.",
        low=0,
        high=100,
    )
    propagation: str = _input(
        "both",
        "both finds the objects on every frame; forward leaves the frames before the first click empty.",
        choices=PROPAGATIONS,
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _checked(item.name, getattr(self, item.name), item.default, option(item.name))
            object.__setattr__(self, item.name, value)
        self._check_prompts()
        self._check_frames()
        self._check_mask_type()

    def _check_prompts(self) -> None:
        if not (self.click_coordinates.strip() or self.masks or self.boxes):
            raise InvalidRequest(
                f"click_coordinates: there is no point, but at least one is needed, such as {POINTS_EXAMPLE}, "
                "or else masks or boxes"
            )
        if self.mask_frames.strip() and self.masks is None:
            raise InvalidRequest(f"mask_frames: {quoted(self.mask_frames)} chooses among masks, but there are no masks")

    def _check_frames(self) -> None:
        if 0 <= self.end_frame < self.start_frame:
            raise InvalidRequest(
                f"end_frame: {self.end_frame} lies before start_frame {self.start_frame}, "
                "it must be -1 or no lower than that"
            )
        exact_rate("video_fps", self.video_fps)

    def _check_mask_type(self) -> None:
        if self.mask_type == "cutout" and self.output_format in OPAQUE:
            raise InvalidRequest(
                f"mask_type: cutout has a transparent background, which {self.output_format} cannot hold, "
                f"so output_format must be one of {', '.join(TRANSPARENT)}"
            )
        if self.mask_type == "probability" and self.output_format not in GRADED:
            raise InvalidRequest(
                f"mask_type: probability is exact, which {self.output_format} is not for, "
                f"so output_format must be one of {', '.join(GRADED)}"
            )

    @property
    def frame_rate(self) -> Fraction | None:
        """The frame rate that was asked for, or None for the source's own."""
        return exact_rate("video_fps", self.video_fps)

    @property
    def part(self) -> slice:
        """The frames that are used, of all frames."""
        return slice(self.start_frame, None if self.end_frame < 0 else self.end_frame + 1, self.frame_stride)

    def frames_of(self, frame_count: int) -> range:
        """The numbers of the frames that are used of a video; raises InvalidRequest if it does not have them."""
        for name, frame in (("start_frame", self.start_frame), ("end_frame", self.end_frame)):
            if frame >= frame_count:
                raise InvalidRequest(
                    f"{name}: {frame} is not a frame of this video, which has frames 0 to {frame_count - 1}"
                )
        return range(frame_count)[self.part]

    @property
    def inputs(self) -> dict[str, Any]:
        """All inputs but the video, by name, as they were understood; of a file its name alone."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "video"}
        return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}

    @property
    def background(self) -> tuple[int, int, int]:
        """`background_color` as (red, green, blue)."""
        red, green, blue = bytes.fromhex(self.background_color[1:])
        return red, green, blue

    @property
    def wants_logits(self) -> bool:
        """Whether the result needs the logits of the masks too (`FrameMasks.soft`)."""
        return self.mask_type in ("cutout", "probability") or self.output_format == "npz"


def exact_rate(name: str, value: Any) -> Fraction | None:
    """A number of frames a second as it is meant: 29.97 is 30000/1001, and so are its kin; 0 is None.

    A fraction is meant as it stands. Raises InvalidRequest for what `video_fps` cannot be, under this `name`.
    """
    rate = _number(name, value, option("video_fps"), whole=False)
    if 0 < rate < SLOWEST_FPS:
        raise InvalidRequest(f"{name}: {rate} is not allowed, it must be 0 or at least {SLOWEST_FPS}")
    if isinstance(value, Fraction):
        return value or None
    for whole in NTSC_RATES:
        if abs(rate - whole / 1.001) < 0.005:  # as far as two decimals can be off: 23.98
            return Fraction(whole * 1000, 1001)
    return Fraction(rate).limit_denominator(1001) if rate else None


def option(name: str) -> Option:
    """The description and the limits of an input."""
    found: Option = Request.__dataclass_fields__[name].metadata["option"]
    return found


def _checked(name: str, value: Any, default: Any, limits: Option) -> Any:
    if value is default is None:
        return None
    if name in FILES:
        return checked_path(name, value)
    if name == "background_color":
        return _colour(value)
    if isinstance(default, bool):
        return _flag(name, value)
    if not isinstance(default, int | float):
        return _text(name, value, limits.choices)
    return _number(name, value, limits, whole=isinstance(default, int))


def checked_path(name: str, value: Any) -> Path:
    """What was given for a file, as a path; raises InvalidRequest for what cannot be one."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InvalidRequest(f"{name}: {_shown(value)} is not a file's path or address")
    path = Path(value)
    if not can_be_a_name(path):
        raise InvalidRequest(f"{name}: {_shown(str(path))} holds a character that no file's name can have")
    if len(os.fsencode(path)) > LONGEST_PATH or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise InvalidRequest(
            f"{name}: {str(path)[:40]!r}... is too long for a path, and a data URL must begin with 'data:'"
        )
    return path


def can_be_a_name(path: Path) -> bool:
    """Whether a file system could hold it: NUL ends a name, and half of a pair of surrogates has no bytes."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _text(name: str, value: Any, choices: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: {_shown(value)} is not a text")
    if choices and value not in choices:
        raise InvalidRequest(f"{name}: {quoted(value)} is not allowed, it must be one of {', '.join(choices)}")
    return str(value)


def _colour(value: Any) -> str:
    digits = _text("background_color", value, ()).strip().removeprefix("#").lower()
    if len(digits) != 6 or set(digits) - set("0123456789abcdef"):
        raise InvalidRequest(f"background_color: {value[:40]!r} is not a colour, it must be like #00ff00")
    return f"#{digits}"


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name}: {value!r} is not allowed, it must be true or false")
    return value


def _number(name: str, value: Any, limits: Option, *, whole: bool) -> int | float:
    """A number within its limits; JSON clients send 1.0 for 1, and NumPy has numbers of its own."""
    assert limits.low is not None
    kind = "a whole number" if whole else "a number"
    span = f"from {limits.low:g} to {limits.high:g}" if limits.high is not None else f"of at least {limits.low:g}"
    highest = sys.maxsize if limits.high is None else limits.high
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and limits.low <= value <= highest) or (whole and value != int(value)):
        raise InvalidRequest(f"{name}: {_shown(value)} is not allowed, it must be {kind} {span}")
    return int(value) if whole else float(value)


def _shown(value: Any) -> str:
    """A value of the wrong kind for a message."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python itself refuses to write out the longest ones
        return "a number of more than 60 digits"
    return shortened(str(value)) if isinstance(value, Real) else shortened(repr(value))
