"""Draw a picture of a result: frames of the video on the left, the same frames of the result on the right.

python -m tools.before_after samples/two_birds.mp4 outputs/demo/two_birds.mp4 before_after.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sam2_cog.media.video import Frame, probe, read_frames

GAP, BAR = 8, 34  # pixels between the pictures, and of the line under them
NOTE = "demo model, not for real use"


def main() -> None:
    """Read the two videos, write the picture."""
    parser = argparse.ArgumentParser(description="Draw frames of a video beside the same frames of its result.")
    parser.add_argument("video", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=[12, 84], help="which frames (default: 12 84)")
    parser.add_argument("--note", default=NOTE, help=f"what to say of the result (default: {NOTE!r})")
    given = parser.parse_args()
    rows = [_row(_frame(given.video, index), _frame(given.result, index), given.note) for index in given.frames]
    Image.fromarray(np.concatenate(rows)).save(given.picture, quality=90)
    print(f"{given.picture}: frames {', '.join(map(str, given.frames))} of {given.video.name}, before and after")


def _frame(path: Path, index: int) -> Frame:
    (frame,) = read_frames(probe(path), index, index + 1)
    return frame


def _row(before: Frame, after: Frame, note: str) -> np.ndarray:
    """(H + BAR, 2 W + GAP, 3) uint8 RGB: both frames over a line that says what they are."""
    height, width = before.image.shape[:2]
    canvas = Image.new("RGB", (2 * width + GAP, height + BAR), "white")
    canvas.paste(Image.fromarray(before.image), (0, 0))
    canvas.paste(Image.fromarray(after.image), (width + GAP, 0))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(20)
    draw.text((4, height + 4), f"before, frame {before.index}", "black", font)
    draw.text((width + GAP + 4, height + 4), f"after, frame {after.index} ({note})", "black", font)
    return np.asarray(canvas)


if __name__ == "__main__":
    main()
