"""The official video predictor on our frames and prompts: what the tracker is compared with."""

from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import sam2.utils.misc
import scipy.ndimage
import torch
from hydra.utils import instantiate
from PIL import Image
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from sam2_cog.engine.model import read_config
from sam2_cog.prompts import FramePrompt, ObjectPrompts

FILL_HOLE_AREA = 8  # as build_sam2_video_predictor(apply_postprocessing=True) sets it


def random_official_predictor(
    name: str,
    *,
    image_size: int | None = None,
    add_all_frames_to_correct_as_cond: bool = True,
    vos_optimized: bool = False,
) -> SAM2VideoPredictor:
    """An official predictor of model `name` with the random weights that `build_network` gives.

    vos_optimized: compiled, as `build_sam2_video_predictor(vos_optimized=True)` builds it.
    """
    config = read_config(name, image_size=image_size)
    config._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    if vos_optimized:
        config._target_ += "VOS"
        config.compile_image_encoder = True
    config.fill_hole_area = FILL_HOLE_AREA
    config.add_all_frames_to_correct_as_cond = add_all_frames_to_correct_as_cond
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        predictor: SAM2VideoPredictor = instantiate(config, _convert_="all")
    return predictor.eval().requires_grad_(False)


def official_predictor(
    name: str, network: SAM2Base, *, add_all_frames_to_correct_as_cond: bool = True
) -> SAM2VideoPredictor:
    """An official predictor of model `name` with the input size, the weights and the device of `network`."""
    predictor = random_official_predictor(
        name,
        image_size=network.image_size,
        add_all_frames_to_correct_as_cond=add_all_frames_to_correct_as_cond,
    )
    predictor.load_state_dict(network.state_dict(), strict=True)
    return predictor.to(network.device)


def official_logits(
    predictor: SAM2VideoPredictor, images: Sequence[np.ndarray], objects: Sequence[ObjectPrompts], propagation: str
) -> dict[int, Tensor]:
    """Frame -> mask logits (objects, H, W) of the official predictor; frames that it never reaches are missing.

    Two gaps of the official code are closed around it: its hole filling needs a CUDA extension (scipy finds the
    components here), and it stops where an object has maps but no pointers in float32 (its bfloat16 maps are cast,
    which changes no value).
    """
    pixels = torch.stack([official_pixels(image, predictor.image_size) for image in images])
    with (
        patch.object(sam2.utils.misc, "get_connected_components", _components),
        patch.object(predictor.memory_attention, "forward", _float_memory(predictor.memory_attention.forward)),
    ):
        return dict(official_run(predictor, pixels, images[0].shape[:2], objects, propagation))


def official_run(
    predictor: SAM2VideoPredictor,
    pixels: Tensor,
    size: tuple[int, ...],
    objects: Sequence[ObjectPrompts],
    propagation: str,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (frame, mask logits (objects, H, W)) of the official predictor as it is shipped.

    pixels: (frames, 3, S, S) as `official_pixels` makes them. size: (H, W) of the video.
    """
    with (
        patch("sam2.sam2_video_predictor.load_video_frames", return_value=(pixels, *size)),
        patch("sam2.sam2_video_predictor.tqdm", lambda frames, **_: frames),
    ):
        yield from _propagate(predictor, predictor.init_state(""), objects, propagation)


def _propagate(
    predictor: SAM2VideoPredictor, state: Any, objects: Sequence[ObjectPrompts], propagation: str
) -> Iterator[tuple[int, Tensor]]:
    for target in objects:
        for prompt in target.prompts:
            _add(predictor, state, target.index, prompt)
    start = min(prompt.frame_index for target in objects for prompt in target.prompts)
    last = state["num_frames"] - 1
    corrected: set[int] = set()
    passes = [(start, 0, True)] if propagation == "both" and start > 0 else []
    for begin, end, reverse in [*passes, (start, last, False)]:
        low, high = sorted((begin, end))
        stops = {c.frame_index for target in objects for c in target.corrections if low <= c.frame_index <= high}
        stops -= corrected
        corrected |= stops
        for stop in sorted(stops, reverse=reverse):
            for index, _, logits in predictor.propagate_in_video(state, begin, abs(stop - begin), reverse):
                yield index, logits[:, 0]
            for target in objects:
                for correction in target.corrections:
                    if correction.frame_index == stop:
                        yield stop, _add(predictor, state, target.index, correction)
            begin = stop
        for index, _, logits in predictor.propagate_in_video(state, begin, abs(end - begin), reverse):
            yield index, logits[:, 0]


def _add(predictor: SAM2VideoPredictor, state: Any, number: int, prompt: FramePrompt) -> Tensor:
    if prompt.mask is not None:
        logits = predictor.add_new_mask(state, prompt.frame_index, number, prompt.mask.full())[2]
        if not prompt.points and prompt.box is None:
            return logits[:, 0]
    points = np.array(prompt.points, np.float32).reshape(-1, 2)
    labels = np.array(prompt.labels, np.int32)
    _, _, logits = predictor.add_new_points_or_box(state, prompt.frame_index, number, points, labels, box=prompt.box)
    return logits[:, 0]


def official_pixels(image: np.ndarray, size: int) -> Tensor:
    """(H, W, 3) uint8 -> (3, size, size) float32, as the official loader of JPEG folders makes it."""
    resized = np.array(Image.fromarray(image).resize((size, size))) / 255.0
    pixels = torch.from_numpy(resized).permute(2, 0, 1).float().contiguous()
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    return (pixels - mean[:, None, None]) / std[:, None, None]


def _components(masks: Tensor) -> tuple[Tensor, Tensor]:
    """8-connected components of (N, 1, H, W) masks: a label for each pixel (0: none), and the area of its component."""
    labels = np.zeros(masks.shape, np.int32)
    areas = np.zeros(masks.shape, np.int32)
    for row, mask in enumerate(masks[:, 0].cpu().numpy()):
        labels[row, 0], _ = scipy.ndimage.label(mask, np.ones((3, 3)))
        areas[row, 0] = np.bincount(labels[row, 0].ravel())[labels[row, 0]]
    return torch.from_numpy(labels).to(masks.device), torch.from_numpy(areas).to(masks.device)


def _float_memory(forward: Any) -> Any:
    def cast(*, memory: Tensor, **arguments: Any) -> Tensor:
        return forward(memory=memory.float(), **arguments)

    return cast
