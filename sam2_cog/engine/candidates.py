"""The three masks of one prompt, as the official `SAM2ImagePredictor` gives them with `multimask_output=True`.

The frame comes to the network's size as everywhere here (Pillow, bicubic), where the image predictor takes a bilinear
filter: of a frame that has that size already the masks are equal as they are, else when it is given the same pixels.
"""

from dataclasses import dataclass

import torch.nn.functional as F

from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.steps import Features
from sam2_cog.engine.tracker import clicks_of
from sam2_cog.masks import ObjectMask
from sam2_cog.prompts import FramePrompt


@dataclass(frozen=True)
class Candidate:
    """One of the masks that clicks may mean. score: the network's own estimate of its IoU with the right one."""

    mask: ObjectMask
    score: float


def find_candidates(
    model: LoadedModel, features: Features, prompt: FramePrompt, width: int, height: int
) -> tuple[Candidate, ...]:
    """Three candidates in the network's own order, for a frame of `width` x `height`; a mask of the prompt is not read.

    Unlike tracked masks they are cut at 0 with their small holes, and also where the network sees no object.
    """
    with model.autocast():
        found = model.steps.propose(features, clicks_of(prompt, width, height, model.steps))
        # all three as the channels of one image: PyTorch's CPU kernel rounds by the number of channels
        planes = F.interpolate(found.logits.float(), (height, width), mode="bilinear", align_corners=False)[0] > 0
        masks, scores = planes.cpu().numpy(), found.ious[0].float().tolist()
    return tuple(Candidate(ObjectMask.of(mask), score) for mask, score in zip(masks, scores, strict=True))
