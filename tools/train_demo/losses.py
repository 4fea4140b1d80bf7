"""What a decoded frame costs: all four masks, the predicted IoUs and the object score.

Every mask token is supervised with the whole object (their mean, and once more the best of the three, or the one that
is taken after several clicks or a box), so that whichever the predictor picks is right; that taught a small network far
faster than supervising the best mask only.
"""

import torch
import torch.nn.functional as F

SCORE_WEIGHT = 3.0  # few objects are ever gone; with 1 the network said of none that it was
GONE, HERE = 0.0005, 0.002  # visible shares of the frame: an object is gone below the first, here from the second on


def iou(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Intersection over union over the last two axes of two bool tensors that broadcast; two empty masks agree: 1."""
    both, either = (predicted & truth).sum((-2, -1)), (predicted | truth).sum((-2, -1))
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both, dtype=torch.float32))


def mask_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """5 x binary cross-entropy + Dice of logits (N, M, S, S) against soft truth (N, 1, S, S) in [0, 1]: (N, M)."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none").mean((-2, -1))
    share = logits.sigmoid()
    overlap, total = (share * truth).sum((-2, -1)), share.sum((-2, -1)) + truth.sum((-2, -1))
    return 5 * entropy + 1 - (2 * overlap + 1) / (total + 1)


def frame_loss(
    masks: torch.Tensor, ious: torch.Tensor, score: torch.Tensor, truth: torch.Tensor, *, ambiguous: bool = True
) -> torch.Tensor:
    """The mean loss of one frame, a scalar.

    Args: the four mask logits (N, 4, h, w), their predicted IoUs (N, 4) in [0, 1], the object score logit (N, 1), and
    the visible truth (N, 1, H, W) in {0., 1.}, four times as large as the logits; they are compared at half its size.
    `ambiguous`: no prompt or one click, after which SAM takes one of the last three masks, else the first. Objects that
    are not visible only train the score.
    """
    area = truth.mean((1, 2, 3))
    present, clear = (area >= GONE).float(), ((area >= HERE) | (area < GONE)).float()
    logits = F.interpolate(masks.float(), scale_factor=2, mode="bilinear", align_corners=False)
    target = F.avg_pool2d(truth, 2)
    each = mask_loss(logits, target)
    of_masks = 0.5 * each.mean(1) + 0.5 * (each[:, 1:].amin(1) if ambiguous else each[:, 0])
    real = iou(logits.detach() > 0, target > 0.5)
    of_ious = (ious - real).abs().mean(1)
    of_score = F.binary_cross_entropy_with_logits(score[:, 0].float(), present, reduction="none")
    of_visible = ((of_masks + of_ious) * present).sum() / present.sum().clamp(min=1)
    return of_visible + SCORE_WEIGHT * (of_score * clear).mean()
