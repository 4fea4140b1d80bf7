"""The demo network for training, and the running mean of its weights."""

import os
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONFIG = Path(__file__).resolve().parents[2] / "sam2_cog" / "configs" / "demo.yaml"
PREDICTOR = "sam2.sam2_video_predictor.SAM2VideoPredictor"
POSTPROCESSING = {  # as `build_sam2_video_predictor(apply_postprocessing=True)` sets them
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
    "fill_hole_area": 8,
}


def build(checkpoint: Path | None = None, image_size: int | None = None, predictor: bool = False) -> Any:
    """The network of `CONFIG` in eval mode on the CPU, or the official video predictor with post-processing.

    Training also uses eval mode: there is no dropout and no batch statistics, and pointers are then read as in use.
    """
    config = OmegaConf.load(CONFIG)
    image_size = image_size or config.model.image_size
    changes: dict[str, Any] = {"image_size": image_size} | (
        {"_target_": PREDICTOR, **POSTPROCESSING} if predictor else {}
    )
    for attention in ("self_attention", "cross_attention"):
        config.model.memory_attention.layer[attention].feat_sizes = [image_size // 16] * 2
    config.model = OmegaConf.merge(config.model, changes)
    OmegaConf.resolve(config)
    network = instantiate(config.model, _recursive_=True)
    if checkpoint is not None:
        network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    return network.eval()


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write by way of a file beside it, so that nobody reads half a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(content, partial)
    os.replace(partial, path)


class RunningMean:
    """An exponential moving average of a network's weights; it follows quickly at first."""

    def __init__(self, network: torch.nn.Module, keep: float = 0.999) -> None:
        self.keep = keep
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: torch.nn.Module, step: int) -> None:
        """Take in the weights after step `step` (from 0)."""
        keep = min(self.keep, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                self.weights[name].lerp_(value, 1 - keep)
