"""What the measure shows and writes: a table, a JSON file, and the predicted masks for an evaluation server."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_cog.evaluate.datasets import LabelledClip
from sam2_cog.evaluate.scoring import ObjectScore, Summary, Watch, summarise
from sam2_cog.masks import Mask

HEADER = f"{'clip':<32} {'objects':>7} {'frames':>7} {'J':>6} {'F':>6} {'J&F':>6}"


def table_line(summary: Summary) -> str:
    """One line under `HEADER`; `-` where nothing was scored."""
    values = (summary.region, summary.boundary, summary.mean)
    shown = " ".join(f"{'-' if math.isnan(value) else f'{value:.3f}':>6}" for value in values)
    return f"{summary.name:<32} {summary.objects:>7} {summary.frames:>7} {shown}"


def write_json(path: Path, setting: dict[str, str], scores: Sequence[ObjectScore]) -> None:
    """The setting, the overall means, and J, F and J&F of every clip and object; null where nothing was scored."""
    clips = [
        [score for score in scores if score.clip == name] for name in dict.fromkeys(score.clip for score in scores)
    ]
    report = {
        "setting": setting,
        "overall": _means(summarise("overall", scores)),
        "clips": [
            {
                "name": own[0].clip,
                **_means(summarise(own[0].clip, own)),
                "objects": [{"name": score.name, **_means(summarise(score.name, [score]))} for score in own],
            }
            for own in clips
        ],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def mask_writer(folder: Path) -> Watch:
    """Write what is predicted as `folder/CLIP/00000.png`, an image of all objects, each pixel the object's number.

    Where objects overlap the first one wins. Frames are named as in the data set, so that the folder can be handed in.
    """

    def write(clip: LabelledClip, frame_index: int, masks: Mask) -> None:
        labels = np.zeros(masks.shape[1:], np.uint8)
        for one, mask in zip(reversed(clip.objects), reversed(masks), strict=True):
            labels[mask] = one.value
        path = folder / clip.name / f"{clip.frame_name(frame_index)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)

    return write


def _means(summary: Summary) -> dict[str, float | int | None]:
    values = {"J": summary.region, "F": summary.boundary, "J&F": summary.mean}
    return {"frames": summary.frames} | {
        name: None if math.isnan(value) else round(value, 4) for name, value in values.items()
    }
