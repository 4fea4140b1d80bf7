"""Each step, batched over objects, against the official code for one object, to the bit."""

import numpy as np
import pytest
import torch
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from sam2_cog.engine.model import LoadedModel, build_network, place_network
from sam2_cog.engine.object_memory import Recall
from sam2_cog.engine.steps import Clicks, Features, Steps, resize

OBJECTS = 4


@pytest.fixture(scope="module", params=["demo", "tiny"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    size = {"demo": None, "tiny": 256}[request.param]
    return place_network(request.param, build_network(request.param, image_size=size), "cpu")


@pytest.fixture(scope="module")
def network(model: LoadedModel) -> SAM2Base:
    return model.network


@pytest.fixture(scope="module")
def steps(model: LoadedModel) -> Steps:
    return Steps(model.network)


@pytest.fixture(scope="module")
def image(steps: Steps) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (steps.image_size, steps.image_size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def features(steps: Steps, image: np.ndarray) -> Features:
    with torch.inference_mode():
        return steps.encode(steps.prepare(image))


def official_features(network: SAM2Base, image: np.ndarray) -> tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]:
    pixels = torch.from_numpy(image / 255.0).permute(2, 0, 1).float().contiguous()
    pixels -= torch.tensor((0.485, 0.456, 0.406))[:, None, None]
    pixels /= torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    found = network._prepare_backbone_features(network.forward_image(pixels[None]))
    return found[1:]


@pytest.fixture(scope="module")
def official(network: SAM2Base, image: np.ndarray) -> tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]:
    with torch.inference_mode():
        return official_features(network, image)


@torch.inference_mode()
def test_a_frame_is_encoded_as_the_official_code_does(features: Features, official: tuple) -> None:
    levels, _, sizes = official
    for level, size, ours in zip(levels, sizes, (*features.fine, features.top), strict=True):
        assert torch.equal(level.permute(1, 2, 0).reshape(1, -1, *size), ours)


@torch.inference_mode()
def test_a_prompted_frame_reads_no_memory(steps: Steps, network: SAM2Base, features: Features, official: tuple) -> None:
    levels, places, sizes = official
    expected = network._prepare_memory_conditioned_features(0, True, levels[-1:], places[-1:], sizes[-1:], {}, 10)
    assert torch.equal(steps.without_memory(features), expected)


def tracked_output(network: SAM2Base, tokens: Tensor, pointer: Tensor) -> dict[str, object]:
    grid = network.image_size // 16
    places = network.memory_encoder.position_encoding(torch.zeros(1, network.mem_dim, grid, grid))
    maps = tokens.transpose(0, 1).reshape(1, -1, grid, grid)
    return {"maskmem_features": maps, "maskmem_pos_enc": [places], "obj_ptr": pointer[None]}


@torch.inference_mode()
@pytest.mark.parametrize("reverse", [False, True])
def test_memories_of_many_objects_are_fused_as_each_alone(
    steps: Steps, network: SAM2Base, features: Features, official: tuple, reverse: bool
) -> None:
    """Frame 50 of 100; objects with conditioning frames at different distances share a batch."""
    levels, places, sizes = official
    sign = 1 if reverse else -1
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randn(OBJECTS, 4, steps.grid**2, network.mem_dim, generator=generator).bfloat16()
    pointers = torch.randn(OBJECTS, 4, network.hidden_dim, generator=generator)
    recalls, expected = [], []
    for row in range(OBJECTS):
        far, near = 20 + row, 6 - row % 2
        recalls.append(
            Recall(
                maps=((0, tokens[row, 0]), (0, tokens[row, 1]), (near, tokens[row, 2]), (1, tokens[row, 3])),
                pointers=((far, pointers[row, 0]), (1, pointers[row, 3]), (near, pointers[row, 2])),
            )
        )
        outputs = [tracked_output(network, tokens[row, k], pointers[row, k]) for k in range(4)]
        kept = {
            "cond_frame_outputs": {50 + sign * far: outputs[0], 50 - sign * 3: outputs[1]},  # the second lies ahead
            "non_cond_frame_outputs": {50 + sign * near: outputs[2], 50 + sign: outputs[3]},
        }
        expected.append(
            network._prepare_memory_conditioned_features(
                50, False, levels[-1:], places[-1:], sizes[-1:], kept, 100, track_in_reverse=reverse
            )
        )
    assert torch.equal(steps.track(features, recalls, 15).fused, torch.cat(expected))


@torch.inference_mode()
@pytest.mark.parametrize("distances", [(0,), (7, 1, 2, 3), (300, 1), (5000, 4999, 15)])
def test_time_codes_are_those_of_numbers_from_the_host(steps: Steps, distances: tuple[int, ...]) -> None:
    network = steps.network
    sines = get_1d_sine_pe(torch.tensor(distances) / 15, dim=network.hidden_dim)
    expected = network.obj_ptr_tpos_proj(sines).repeat_interleave(network.hidden_dim // network.mem_dim, dim=0)
    assert torch.equal(steps._pointer_positions(distances, 15)[0], expected)


@torch.inference_mode()
def test_tracked_masks_of_many_objects_are_those_of_each_alone(
    steps: Steps, network: SAM2Base, features: Features, official: tuple
) -> None:
    levels, _, sizes = official
    fused = steps.without_memory(features) + torch.randn(
        OBJECTS, network.hidden_dim, steps.grid, steps.grid, generator=torch.Generator().manual_seed(1)
    )
    found = steps.segment(features, fused)
    maps = steps.encode_memory(features, found.logits, found.presence, prompted=False)
    for row in range(OBJECTS):
        alone = network._forward_sam_heads(
            fused[row : row + 1], high_res_features=list(features.fine), multimask_output=True
        )
        assert torch.equal(found.logits[row : row + 1], alone[3])
        assert torch.equal(found.pointer[row : row + 1], alone[5])
        assert torch.equal(found.presence[row : row + 1], alone[6])
        memory, _ = network._encode_new_memory(levels, sizes, alone[4], alone[6], False)
        assert torch.equal(maps[row], memory.bfloat16().flatten(2)[0].T)


@torch.inference_mode()
@pytest.mark.parametrize("labels", [(1,), (1, 0), (2, 3), (2, 3, 1)])
def test_prompted_masks_are_the_official_ones(
    steps: Steps, network: SAM2Base, features: Features, official: tuple, labels: tuple[int, ...]
) -> None:
    levels, _, sizes = official
    points = torch.rand(1, len(labels), 2, generator=torch.Generator().manual_seed(2)) * steps.image_size
    clicks = Clicks(points, torch.tensor([labels], dtype=torch.int32))
    fused = steps.without_memory(features)
    found = steps.segment(features, fused, clicks)
    given = {"point_coords": points, "point_labels": clicks.labels}
    alone = network._forward_sam_heads(fused, given, None, list(features.fine), len(labels) == 1)
    assert torch.equal(found.logits, alone[3]) and torch.equal(found.pointer, alone[5])
    maps = steps.encode_memory(features, found.logits, found.presence, prompted=True)
    full = torch.nn.functional.interpolate(
        found.logits, size=(steps.image_size, steps.image_size), mode="bilinear", align_corners=False
    )
    memory, _ = network._encode_new_memory(levels, sizes, full, found.presence, True)
    assert torch.equal(maps[0], memory.bfloat16().flatten(2)[0].T)


@torch.inference_mode()
def test_an_absent_object_has_an_empty_mask_and_no_score(steps: Steps, network: SAM2Base, features: Features) -> None:
    bias = network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias
    before = bias.clone()
    bias.fill_(-1000.0)
    try:
        found = steps.segment(features, steps.without_memory(features))
    finally:
        bias.copy_(before)
    assert (found.logits == -1024).all() and (found.iou == 0).all()
    assert torch.equal(found.pointer, network.no_obj_ptr)


def test_frames_are_resized_as_pillow_does() -> None:
    from PIL import Image

    image = np.random.default_rng(3).integers(0, 256, (49, 65, 3), dtype=np.uint8)
    assert np.array_equal(resize(image, 64), np.array(Image.fromarray(image).resize((64, 64))))
