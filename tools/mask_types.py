"""Draw a picture of what can be shown: one frame of a clip in each mask type, as the archives hold it.

python -m tools.mask_types samples/mask_types.jpg
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sam2_cog.engine.model import load_model
from sam2_cog.engine.tracker import Tracker
from sam2_cog.limits import Deadline
from sam2_cog.media.video import probe
from sam2_cog.outputs import output_for
from sam2_cog.pipeline import output_spec
from sam2_cog.progress import LogProgress
from sam2_cog.request import Request
from sam2_cog.runs.objects import objects_of
from sam2_cog.runs.watched_clip import WatchedClip

SAMPLE = Path("samples/two_birds.mp4")
CLICKS = {"click_coordinates": "[80,222],[556,96]", "click_object_ids": "red,blue"}
SHOWN = {
    "highlighted": {"mask_type": "highlighted"},
    "highlighted, annotation_type both": {"mask_type": "highlighted", "annotation_type": "both"},
    "greenscreen": {"mask_type": "greenscreen"},
    "cutout (the squares stand for transparency)": {"mask_type": "cutout"},
    "binary": {"mask_type": "binary"},
    "probability": {"mask_type": "probability"},
}
COLUMNS, WIDTH, GAP, BAR, SQUARE = 3, 480, 8, 26, 12  # pixels


def main() -> None:
    """Track the sample up to the frame with the demo model, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--frame", type=int, default=84, help="which frame (default: 84)")
    given = parser.parse_args()
    pictures = [_panel(title, picture) for title, picture in zip(SHOWN, _pictures(given.frame), strict=True)]
    rows = [np.concatenate(pictures[start : start + COLUMNS], axis=1) for start in range(0, len(pictures), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(given.picture, quality=88)
    print(f"{given.picture}: frame {given.frame} of {SAMPLE.name} in {len(SHOWN)} ways")


def _pictures(index: int) -> Iterator[Image.Image]:
    """The frame in each way, read out of an archive of its own."""
    info = probe(SAMPLE)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as files:
        paths, outputs = [Path(folder) / f"{number}.zip" for number in range(len(SHOWN))], []
        for path, inputs in zip(paths, SHOWN.values(), strict=True):
            request = Request(SAMPLE, output_format="png", **CLICKS, **inputs)  # type: ignore[arg-type]
            objects = objects_of(request, info)
            spec = output_spec(request, info, objects, "demo", path)
            outputs.append(files.enter_context(output_for("png", spec)))
        clip = WatchedClip(info, info.frame_count, LogProgress(), Deadline())
        with closing(Tracker(load_model("demo", device="cpu")).track(clip, objects, soft=True)) as tracked:
            frame, masks = next(pair for pair in tracked if pair[0].index == index)
        for output in outputs:
            output.write(frame, masks)
        files.close()
        yield from map(_read, paths)


def _read(path: Path) -> Image.Image:
    """The archive's pictures, laid over each other."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    return Image.fromarray(np.maximum.reduce(pictures))


def _panel(title: str, picture: Image.Image) -> np.ndarray:
    """The picture over its name, with squares where it is transparent: (H, W, 3) uint8."""
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    rows, columns = np.mgrid[:height, :WIDTH] // SQUARE
    ground = Image.fromarray(np.where((rows + columns) % 2, 255, 204).astype(np.uint8)).convert("RGB")
    ground.paste(small, (0, 0), small if small.mode == "RGBA" else None)
    canvas = Image.new("RGB", (WIDTH + GAP, height + BAR), "white")
    canvas.paste(ground, (0, 0))
    ImageDraw.Draw(canvas).text((2, height + 2), title, "black", ImageFont.load_default(16))
    return np.asarray(canvas)


if __name__ == "__main__":
    main()
