"""Memory attention over many objects at once: the forward pass of SAM 2's `MemoryAttention`, on its own weights.

The same arithmetic as `sam2/modeling/memory_attention.py` and `sam/transformer.py`, with the work left out that is
the same for all objects: the first self-attention and the keys' position sums are computed once, and the rotation is
broadcast over the memory maps instead of repeated for each.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    attention: Any, features: Tensor, position: Tensor, memory: Tensor, memory_position: Tensor, pointer_tokens: int
) -> Tensor:
    """Fuse the features of a frame with the memory of each object.

    attention: `sam2.modeling.memory_attention.MemoryAttention`. features, position: (1, tokens, C), the frame's,
    shared by all objects. memory: (B, L, M), maps first, then `pointer_tokens` tokens of object pointers.
    memory_position: (B or 1, L, M). Returns (B, tokens, C).
    """
    value = memory
    key = memory + memory_position
    x = features + 0.1 * position
    for layer in attention.layers:
        x = x + _self_attention(layer.self_attn, layer.norm1(x))
        x = x + _cross_attention(layer.cross_attn_image, layer.norm2(x), key, value, pointer_tokens)
        x = x + layer.linear2(layer.activation(layer.linear1(layer.norm3(x))))
    return attention.norm(x)


def _self_attention(module: Any, x: Tensor) -> Tensor:
    query, key = (_rotate(projection(x), module.rotation) for projection in (module.q_proj, module.k_proj))
    return _attention(module, query, key, module.v_proj(x))


def _cross_attention(module: Any, x: Tensor, key: Tensor, value: Tensor, pointer_tokens: int) -> Tensor:
    query = _rotate(module.q_proj(x), module.rotation)
    key = module.k_proj(key)
    # pointers have no place in the frame, so only the maps' keys are rotated
    _rotate(key[:, : key.shape[1] - pointer_tokens], module.rotation)
    return _attention(module, query.expand(len(key), -1, -1), key, module.v_proj(value))


def _attention(module: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with one head, as in every SAM 2.1 configuration. (B, N, C), (B, L, C), (B, L, C) -> (B, N, C)."""
    fused = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
    return module.out_proj(fused)


def _rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate each map of tokens in place; x: (B, maps * tokens, C), rotation: (tokens, C / 2, 2), cosines and sines."""
    precise = x.float()
    pairs = precise.unflatten(1, (-1, len(rotation))).unflatten(3, (-1, 2))
    if torch.compiler.is_compiling():  # which knows no complex numbers; in real ones it is equal to the bit
        (real, imaginary), (cos, sin) = pairs.unbind(-1), rotation.unbind(-1)
        rotated = torch.stack((real * cos - imaginary * sin, real * sin + imaginary * cos), dim=-1)
        return x.copy_(rotated.flatten(3).flatten(1, 2))
    # uncompiled twice as fast as in real numbers, or more
    torch.view_as_complex(pairs).mul_(torch.view_as_complex(rotation))
    return x.copy_(precise)
