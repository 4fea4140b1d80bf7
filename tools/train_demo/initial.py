"""Starting values for training without a checkpoint: an untrained network that already relates like to like.

With the library's own values the attention between prompts and pixels, and between a frame and its memory, starts
blind, and a small network needs long to find out that the same place matters. Only values are set, no class is touched.
"""

from typing import Any

import torch

MATCH_GAIN = 2.0  # of the common projection of queries and keys: how sharply a click looks at its own place
PLACE_BIAS = 0.7  # of rotary queries and keys: a constant vector makes the attention fall off with the distance
PRESENT = 3.0  # starting logit of the object score: objects are mostly there


def initialise(network: Any) -> None:
    """Set the starting values, in place; uses torch's global random generator."""
    transformer = network.sam_mask_decoder.transformer
    matching = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        matching += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    with torch.no_grad():
        for attention in matching:
            _look_alike(attention)
        for layer in network.memory_attention.layers:
            for attention in (layer.self_attn, layer.cross_attn_image):
                _look_near(attention)
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(PRESENT)
        for embedding in (network.image_encoder.trunk.pos_embed, network.image_encoder.trunk.pos_embed_window):
            torch.nn.init.trunc_normal_(embedding, std=0.02)


def _look_alike(attention: Any) -> None:
    """Give queries and keys one common orthogonal projection, so that equal position codes attend to each other."""
    common = torch.nn.init.orthogonal_(torch.empty_like(attention.q_proj.weight)) * MATCH_GAIN
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.copy_(common)
        projection.bias.zero_()


def _look_near(attention: Any) -> None:
    """Let the rotary position decide at first: a constant part in queries and keys, and half of the random one."""
    for projection in (attention.q_proj, attention.k_proj):
        projection.bias.fill_(PLACE_BIAS)
        projection.weight.mul_(0.5)
