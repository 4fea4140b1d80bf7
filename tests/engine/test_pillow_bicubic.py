"""The resize for a GPU against Pillow itself: every value the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2_cog.engine.pillow_bicubic import resize


def by_pillow(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size)))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise from black to white: what rounds and overshoots most."""
    return np.random.default_rng(seed).choice([0, 1, 127, 128, 254, 255], (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(1080, 1920), (1920, 1080), (720, 1280), (1, 1), (2, 3000), (256, 256), (255, 257)]
)
def test_every_value_is_pillows(height: int, width: int) -> None:
    image = noise(height, width)
    assert np.array_equal(resize(torch.from_numpy(image)[None], 256)[0].numpy(), by_pillow(image, 256))


def test_several_images_are_resized_at_once() -> None:
    images = np.stack([noise(90, 160, seed) for seed in range(3)])
    found = resize(torch.from_numpy(images), 1024).numpy()
    assert found.shape == (3, 1024, 1024, 3) and found.dtype == np.uint8
    assert all(np.array_equal(one, by_pillow(image, 1024)) for one, image in zip(found, images, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64))
def test_any_size_to_any_size(height: int, width: int, size: int) -> None:
    image = noise(height, width)
    assert np.array_equal(resize(torch.from_numpy(image)[None], size)[0].numpy(), by_pillow(image, size))
