"""Our tracker, the official predictor and transformers behind one signature, with random weights.

What an implementation is asked to do is the same for all: frames in memory in, binary masks at the size of the video
out, on the host. float32 on the CPU, bfloat16 on a GPU. Ours and the official
predictor have the same weights.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from sam2_cog.engine.model import build_network, place_network, read_config
from sam2_cog.engine.tracker import Tracker
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.official import official_pixels, official_run, random_official_predictor
from tests.scenarios import MemoryClip, moving_blocks

Objects = tuple[ObjectPrompts, ...]
Run = Callable[[MemoryClip, Objects], Iterator[np.ndarray]]
"""Yields (objects, H, W) bool for each frame."""

DISTINCT_FRAMES = 8


def make_clip(frames: int, width: int, height: int) -> MemoryClip:
    """A clip of any length whose frames take little memory: a few images, over and over."""
    images = moving_blocks(0, min(frames, DISTINCT_FRAMES), width, height).images
    return MemoryClip(tuple(images[index % len(images)] for index in range(frames)))


def click_on(clip: MemoryClip, count: int) -> Objects:
    """One click for each object, spread over the first frame."""
    places = [((i % 4 + 0.5) * clip.width / 4, (i // 4 % 4 + 0.5) * clip.height / 4) for i in range(count)]
    return tuple(ObjectPrompts(str(i), i, (FramePrompt(0, (at,), (1,), None),), ()) for i, at in enumerate(places))


def load_ours(size: str, device: torch.device) -> Run:
    """The product's tracker."""
    tracker = Tracker(place_network(size, build_network(size), device))

    def run(clip: MemoryClip, objects: Objects) -> Iterator[np.ndarray]:
        for _, found in tracker.track(clip, objects):
            yield found.array()

    return run


def load_official(size: str, device: torch.device, *, vos_optimized: bool = False) -> Run:
    """`SAM2VideoPredictor` as it is shipped; only its reading of a folder of JPEG files is left out.

    vos_optimized: the compiled one, which takes minutes for its first frames.
    """
    # the weights of `build_network`, without a second network: its memory, freed, would spare this one page faults
    predictor = random_official_predictor(size, vos_optimized=vos_optimized).to(device)

    def run(clip: MemoryClip, objects: Objects) -> Iterator[np.ndarray]:
        pixels = torch.empty(clip.frame_count, 3, predictor.image_size, predictor.image_size)
        for index, image in enumerate(clip.images):
            pixels[index] = official_pixels(image, predictor.image_size)
        # it keeps the clip on the device, unless it is told otherwise
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            for _, logits in official_run(predictor, pixels.to(device), (clip.height, clip.width), objects, "both"):
                yield (logits > 0).cpu().numpy()

    return run


def load_transformers(size: str, device: torch.device) -> Run:
    """`Sam2VideoModel` streaming, which gives its first mask soonest; in bfloat16 as its documentation loads it."""
    try:
        from transformers import Sam2ImageProcessor, Sam2VideoModel, Sam2VideoProcessor, Sam2VideoVideoProcessor
    except ImportError:
        sys.exit("transformers with Sam2VideoModel is not installed: pip install -e '.[bench]'")
    config = read_config(size)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model: Any = Sam2VideoModel(_transformers_config(config))
    _set_memory_channels(model, config.memory_encoder.out_dim)
    model = model.to(device, dtype).eval()
    square = {"height": config.image_size, "width": config.image_size}
    processor = Sam2VideoProcessor(Sam2ImageProcessor(size=square), Sam2VideoVideoProcessor(size=square))

    def run(clip: MemoryClip, objects: Objects) -> Iterator[np.ndarray]:
        session = processor.init_video_session(inference_device=device, dtype=dtype)
        for index, image in enumerate(clip.images):
            inputs = processor(images=image, device=device, return_tensors="pt")
            if index == 0:
                _click(processor, session, inputs.original_sizes[0], objects)
            logits = model(inference_session=session, frame=inputs.pixel_values[0]).pred_masks
            yield processor.post_process_masks([logits], inputs.original_sizes)[0][:, 0].cpu().numpy()

    return run


LOADERS: dict[str, Callable[[str, torch.device], Run]] = {
    "ours": load_ours,
    "official": load_official,
    "transformers": load_transformers,
}


def _click(processor: Any, session: Any, size: Any, objects: Objects) -> None:
    prompts = [target.prompts[0] for target in objects]
    processor.add_inputs_to_inference_session(
        session,
        frame_idx=0,
        obj_ids=[target.index for target in objects],
        input_points=[[[list(point) for point in prompt.points] for prompt in prompts]],
        input_labels=[[list(prompt.labels) for prompt in prompts]],
        original_size=size,
    )


def _transformers_config(config: Any) -> Any:
    """The official description of a network in the words of transformers."""
    from transformers import Sam2VideoConfig

    trunk, neck, memory = config.image_encoder.trunk, config.image_encoder.neck, config.memory_attention
    side, width = config.image_size, memory.d_model
    backbone = {
        "image_size": [side, side],
        "hidden_size": trunk.embed_dim,
        "num_attention_heads": trunk.num_heads,
        "blocks_per_stage": list(trunk.stages),
        "embed_dim_per_stage": [trunk.embed_dim * 2**stage for stage in range(4)],
        "num_attention_heads_per_stage": [trunk.num_heads * 2**stage for stage in range(4)],
        "window_size_per_stage": list(trunk.get("window_spec", (8, 4, 14, 7))),
        "global_attention_blocks": list(trunk.global_att_blocks),
        "window_positional_embedding_background_size": list(trunk.window_pos_embed_bkg_spatial_size),
    }
    vision = {
        "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone},
        "backbone_channel_list": list(neck.backbone_channel_list),
        "backbone_feature_sizes": [[side // stride, side // stride] for stride in (4, 8, 16)],
        "fpn_hidden_size": width,
    }
    return Sam2VideoConfig(
        vision_config={"model_type": "sam2_vision_model", **vision},
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config={"hidden_size": width},
        image_size=side,
        memory_attention_hidden_size=width,
        memory_attention_num_layers=memory.num_layers,
        memory_attention_feed_forward_hidden_size=memory.layer.dim_feedforward,
        memory_attention_rope_feat_sizes=list(memory.layer.self_attention.feat_sizes),
        memory_encoder_hidden_size=width,
        memory_encoder_output_channels=config.memory_encoder.out_dim,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=4 * width,
    )


def _set_memory_channels(model: Any, channels: int) -> None:
    """Transformers fixes the channels of a memory map at 64; `demo` has 32."""
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        if attention.kv_in_dim != channels:
            attention.k_proj = torch.nn.Linear(channels, attention.internal_dim)
            attention.v_proj = torch.nn.Linear(channels, attention.internal_dim)
