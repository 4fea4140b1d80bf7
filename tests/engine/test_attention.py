"""Memory attention over many objects against the official module, object by object, to the bit."""

import pytest
import torch

from sam2_cog.engine.attention import _rotate, attend
from sam2_cog.engine.model import build_network, place_network

TOKENS = 256


@pytest.mark.parametrize("objects", [1, 2, 5])
@pytest.mark.parametrize("maps", [1, 7])
@pytest.mark.parametrize("shared_position", [True, False])
def test_it_equals_the_official_module_for_each_object(objects: int, maps: int, shared_position: bool) -> None:
    network = place_network("demo", build_network("demo"), "cpu").network
    channels, memory_channels = network.hidden_dim, network.mem_dim
    pointers = 3 * channels // memory_channels
    generator = torch.Generator().manual_seed(objects)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    features, position = random(1, TOKENS, channels), random(1, TOKENS, channels)
    memory = random(objects, maps * TOKENS + pointers, memory_channels)
    places = random(1 if shared_position else objects, maps * TOKENS + pointers, memory_channels)
    with torch.inference_mode():
        found = attend(network.memory_attention, features, position, memory, places, pointers)
        for row in range(objects):
            expected = network.memory_attention(
                curr=[features.transpose(0, 1)],
                curr_pos=[position.transpose(0, 1)],
                memory=memory[row : row + 1].transpose(0, 1),
                memory_pos=places[row % len(places) : row % len(places) + 1].transpose(0, 1),
                num_obj_ptr_tokens=pointers,
            )
            assert torch.equal(found[row], expected[:, 0])


def test_without_pointers_every_key_is_rotated() -> None:
    network = place_network("demo", build_network("demo"), "cpu").network
    generator = torch.Generator().manual_seed(0)
    features, position = torch.randn(2, 1, TOKENS, network.hidden_dim, generator=generator)
    memory, places = torch.randn(2, 1, TOKENS, network.mem_dim, generator=generator)
    with torch.inference_mode():
        found = attend(network.memory_attention, features, position, memory, places, 0)
        expected = network.memory_attention(
            [features.transpose(0, 1)], memory.transpose(0, 1), [position.transpose(0, 1)], places.transpose(0, 1)
        )
    assert torch.equal(found[0], expected[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_real_numbers_the_rotation_is_the_same(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    network = place_network("demo", build_network("demo"), "cpu").network
    rotation = network.memory_attention.layers[0].self_attn.rotation
    x = torch.randn(2, 3 * len(rotation), 2 * rotation.shape[1], generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = _rotate(x.clone(), rotation)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(_rotate(x.clone(), rotation), expected) and not torch.equal(x, expected)
