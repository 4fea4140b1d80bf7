"""The steps of SAM 2.1, batched over objects: encode a frame, fuse memory, segment, encode memory; no state.

Each function is the forward pass of the official code (`sam2/modeling/sam2_base.py`) on the network's own parts, in the
order of the official operations, so that masks stay equal; what is the same for all objects is computed once.
`network` is a `sam2.modeling.sam2_base.SAM2Base`; B objects, C channels, M memory channels, S the network's input size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sam2.modeling.sam2_utils import LayerNorm2d, get_1d_sine_pe
from torch import Tensor

from sam2_cog.engine import pillow_bicubic
from sam2_cog.engine.attention import attend
from sam2_cog.engine.logits import fill_holes
from sam2_cog.engine.mask_decoder import Candidates, decode, normalise, per_object
from sam2_cog.engine.object_memory import Recall
from sam2_cog.engine.quick import Function, captured, compiled

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

ABSENT_LOGIT = -1024.0
"""Mask logit of an object that is not on the frame (`NO_OBJ_SCORE` of the official code)."""


@dataclass(frozen=True)
class Features:
    """One encoded frame: top (1, C, S/16, S/16), and the finer levels (1, C/8, S/4, S/4) and (1, C/4, S/8, S/8)."""

    top: Tensor
    fine: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Segmentation:
    """Masks of B objects: logits (B, 1, S/4, S/4) float32, pointer (B, C), presence (B, 1) logit, iou (B,) estimate."""

    logits: Tensor
    pointer: Tensor
    presence: Tensor
    iou: Tensor


@dataclass(frozen=True)
class Tracked:
    """B objects on a frame that nobody prompted.

    fused: (B, C, grid, grid), what the masks were decoded from. found: the masks, unfilled. filled: their logits with
    small holes filled, (B, 1, S/4, S/4). maps: what later frames read of them, (B, tokens, M) bfloat16.
    """

    fused: Tensor
    found: Segmentation
    maps: Tensor
    filled: Tensor


@dataclass(frozen=True)
class Clicks:
    """Clicks on one object, in the network's input pixels.

    coordinates: (1, P, 2) float32. labels: (1, P) int32: 0 background, 1 foreground, 2 and 3 the corners of a box.
    """

    coordinates: Tensor
    labels: Tensor


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8 with Pillow's bicubic filter, as the official code reads JPEG frames."""
    return np.array(Image.fromarray(image).resize((size, size)))


class Steps:
    """The network's steps, with the constants of the network computed once."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.image_size: int = network.image_size
        self.grid = self.image_size // 16
        self.device = network.no_mem_embed.device
        self._numbers = torch.arange(256, device=self.device)
        levels = compiled("image encoder", self._levels, dynamic=False)
        self._quick_levels = captured("image encoder", levels, self.device)
        self._warm_up_step = _with_holes_filled(self._step)
        quick = _with_holes_filled(compiled("tracking step", self._step))
        self._steady_step = captured("tracking step", quick, self.device)

    def prepare(self, image: np.ndarray) -> Tensor:
        """A frame (H, W, 3) uint8 RGB in the network's size, (S, S, 3) uint8 on the device; may run in any thread."""
        if self.device.type == "cpu":
            return torch.from_numpy(resize(image, self.image_size))
        # from pinned memory, so that the host need not wait for the copy
        frame = torch.from_numpy(image).pin_memory().to(self.device, non_blocking=True)
        return pillow_bicubic.resize(frame[None], self.image_size)[0]

    def encode(self, image: Tensor) -> Features:
        """A prepared image -> its features. One at a time: what else is in a batch decides how a GPU rounds."""
        fine_0, fine_1, top = self._quick_levels(image)
        # through tokens and back, as the official code goes: the layout in memory decides how convolutions round
        return Features(self._as_map(_tokens(top)), (fine_0, fine_1))

    def _levels(self, image: Tensor) -> Sequence[Tensor]:
        pixels = image[None].permute(0, 3, 1, 2).float().contiguous() / 255
        levels: Sequence[Tensor] = self.network.forward_image((pixels - self._mean) / self._std)["backbone_fpn"]
        return levels

    def without_memory(self, features: Features) -> Tensor:
        """What the mask decoder sees on a prompted frame: no memory is read there. (1, C, grid, grid)."""
        return self._as_map(_tokens(features.top) + self.network.no_mem_embed)

    def track(self, features: Features, recalls: Sequence[Recall], pointer_scale: int) -> Tracked:
        """Find B objects by what is remembered of them, all of one `Recall.shape`.

        pointer_scale: the distance in frames at which a pointer's time code ends (`max_obj_ptrs_in_encoder - 1`,
        fewer in a clip with fewer than 16 frames).
        """
        # the first frames read memories of many sizes, each once, for which nothing is compiled or captured
        step = self._steady_step if any(recall.steady for recall in recalls) else self._warm_up_step
        maps = torch.cat([tokens for recall in recalls for _, tokens in recall.maps])
        pointers = [pointer for recall in recalls for _, pointer in recall.pointers]
        fused, logits, pointer, presence, iou, new_maps, filled = step(
            features.top,
            *features.fine,
            maps.view(len(recalls), -1, self.network.mem_dim),
            # a pointer of C channels becomes C / M tokens of M channels
            *([torch.cat(pointers).view(len(recalls), -1, self.network.mem_dim)] if pointers else []),
            self._memory_position(recalls, pointer_scale),
        )
        return Tracked(fused, Segmentation(logits, pointer, presence, iou), new_maps, filled)

    def _step(self, top: Tensor, fine_0: Tensor, fine_1: Tensor, maps: Tensor, *rest: Tensor) -> Sequence[Tensor]:
        """All that is computed of a frame with these memories; rest: tokens of pointers, if any, and the positions."""
        features = Features(top, (fine_0, fine_1))
        fused = self._fuse(features, maps, *rest)
        found = self.segment(features, fused)
        new_maps = self.encode_memory(features, found.logits, found.presence, prompted=False)
        return fused, found.logits, found.pointer, found.presence, found.iou, new_maps

    def _fuse(self, features: Features, maps: Tensor, *rest: Tensor) -> Tensor:
        """A frame with the memories of B objects: (B, C, grid, grid)."""
        *pointers, position = rest
        # the official code leaves maps alone in bfloat16, which fp32 weights refuse; the cast changes no value
        memory = torch.cat((maps, *pointers), dim=1) if pointers else maps.to(_compute_dtype(self.device))
        tokens = memory.shape[1] - maps.shape[1]
        attention = self.network.memory_attention
        return self._as_map(attend(attention, _tokens(features.top), self._frame_position, memory, position, tokens))

    def segment(
        self,
        features: Features,
        fused: Tensor,
        clicks: Clicks | None = None,
        logits: Tensor | None = None,
        *,
        candidate: int = 0,
    ) -> Segmentation:
        """Decode the masks of B objects, guided by clicks and, in a correction, by the logits so far.

        candidate: 1, 2 or 3, which of the three masks of an ambiguous prompt to take; 0 for the best estimate.
        """
        if clicks is None:
            sparse, dense = (prompt.expand(len(fused), *prompt.shape[1:]) for prompt in self._no_prompt)
        else:
            sparse, dense = self.network.sam_prompt_encoder(
                points=(clicks.coordinates, clicks.labels), boxes=None, masks=logits
            )
        # SAM proposes three masks while the prompt is ambiguous: no click or one (a box counts as two)
        ambiguous = clicks is None or clicks.labels.shape[1] <= 1
        decoder = self.network.sam_mask_decoder
        found = decode(decoder, fused, self._dense_position, sparse, dense, features.fine, ambiguous=ambiguous)
        return self._choose(found, candidate)

    def propose(self, features: Features, clicks: Clicks) -> Candidates:
        """The three masks of one object for its clicks, ambiguous or not: `multimask_output` of the image predictor."""
        network, fused = self.network, self.without_memory(features)
        sparse, dense = network.sam_prompt_encoder(points=(clicks.coordinates, clicks.labels), boxes=None, masks=None)
        position = self._dense_position
        return decode(network.sam_mask_decoder, fused, position, sparse, dense, features.fine, ambiguous=True)

    def segment_mask(self, features: Features, mask: np.ndarray) -> Segmentation:
        """Take a mask (H, W) bool as the object: the semi-supervised protocol of the data sets."""
        full = torch.from_numpy(mask).to(self.device)[None, None].float()
        size = (self.image_size, self.image_size)
        if full.shape[-2:] != size:
            full = (F.interpolate(full, size=size, align_corners=False, mode="bilinear", antialias=True) >= 0.5).float()
        _, _, ious, logits, _, pointer, presence = self.network._use_mask_as_output(features.top, features.fine, full)
        return Segmentation(logits, pointer, presence, ious[:, 0])

    def encode_memory(self, features: Features, logits: Tensor, presence: Tensor, *, prompted: bool) -> Tensor:
        """Encode the masks of B objects into memory maps. (B, tokens, M) bfloat16.

        logits: (B, 1, S/4, S/4). presence: (B, 1). prompted: cut the masks at 0, as on frames with clicks.
        """
        network, encoder = self.network, self.network.memory_encoder
        full = _enlarge(logits, self.image_size, prompted=prompted)
        masks = (full > 0).float() if prompted else torch.sigmoid(full)
        masks = masks * network.sigmoid_scale_for_mem_enc + network.sigmoid_bias_for_mem_enc
        fused = encoder.pix_feat_proj(features.top) + _shrink(encoder.mask_downsampler, masks)
        maps = per_object(encoder.out_proj, encoder.fuser(fused))
        absent = 1 - (presence > 0).float()
        maps += absent[..., None, None] * network.no_obj_embed_spatial[..., None, None].expand(*maps.shape)
        return _tokens(maps.to(torch.bfloat16)).contiguous()

    def _choose(self, candidates: Candidates, number: int = 0) -> Segmentation:
        """A candidate, for 0 that with the best estimate; an absent object gets an empty mask and a fixed pointer."""
        best = candidates.ious.argmax(dim=-1)
        if number:
            best = torch.full_like(best, number - 1)
        rows = torch.arange(len(best), device=best.device)
        visible = candidates.presence > 0
        logits = torch.where(visible[:, None, None], candidates.logits[rows, best][:, None], ABSENT_LOGIT).float()
        pointer = per_object(self.network.obj_ptr_proj, candidates.tokens[rows, best])
        seen = visible.float()
        pointer = seen * pointer + (1 - seen) * self.network.no_obj_ptr
        return Segmentation(logits, pointer, candidates.presence, candidates.ious[rows, best].float() * seen[:, 0])

    def _memory_position(self, recalls: Sequence[Recall], pointer_scale: int) -> Tensor:
        """Place and time codes of the memory, (B, L, M); (1, L, M) where they are the same for all objects."""
        codes: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}
        for recall in recalls:
            times = (recall.steps, recall.distances)
            if times not in codes:
                parts = [self._map_positions[steps] for steps in recall.steps]
                codes[times] = torch.cat([*parts, *self._pointer_positions(recall.distances, pointer_scale)])
        if len(codes) == 1:
            return next(iter(codes.values()))[None]
        return torch.stack([codes[recall.steps, recall.distances] for recall in recalls])

    def _pointer_positions(self, distances: tuple[int, ...], scale: int) -> list[Tensor]:
        """Time codes of pointers this many frames away, [(pointers * C / M, M)]; nothing for no pointers."""
        if not distances:
            return []
        network = self.network
        if max(distances) >= len(self._numbers):
            self._numbers = torch.arange(2 * max(distances), device=self.device)
        # numbers that are on the device already, so that nothing has to come from the host
        frames = torch.cat([self._numbers[distance : distance + 1] for distance in distances])
        sines = get_1d_sine_pe(frames / scale, dim=network.hidden_dim)
        return [network.obj_ptr_tpos_proj(sines).repeat_interleave(network.hidden_dim // network.mem_dim, dim=0)]

    def _as_map(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).reshape(len(tokens), -1, self.grid, self.grid)

    @cached_property
    def _mean(self) -> Tensor:
        return torch.tensor(_MEAN, device=self.device)[:, None, None]

    @cached_property
    def _std(self) -> Tensor:
        return torch.tensor(_STD, device=self.device)[:, None, None]

    @cached_property
    def _frame_position(self) -> Tensor:
        """Place codes of a frame's tokens, (1, tokens, C)."""
        blank = torch.zeros(1, self.network.hidden_dim, self.grid, self.grid, device=self.device)
        return _tokens(self.network.image_encoder.neck.position_encoding(blank))

    @cached_property
    def _map_positions(self) -> list[Tensor]:
        """Place and time codes of memory maps by how many frames away they are; 0: conditioning. Each (tokens, M)."""
        network = self.network
        blank = torch.zeros(1, network.mem_dim, self.grid, self.grid, device=self.device)
        place = _tokens(network.memory_encoder.position_encoding(blank).to(_compute_dtype(self.device)))[0]
        # SAM 2 counts time from the past (t_pos 1 is 6 frames away) and stores it backwards: the steps are the index
        times = [
            network.maskmem_tpos_enc[network.num_maskmem - 1],
            *network.maskmem_tpos_enc[: network.num_maskmem - 1],
        ]
        return [place + time[0] for time in times]

    @cached_property
    def _dense_position(self) -> Tensor:
        return self.network.sam_prompt_encoder.get_dense_pe()

    @cached_property
    def _no_prompt(self) -> tuple[Tensor, Tensor]:
        """The embeddings of an empty prompt, (1, 2, C) and (1, C, grid, grid): one padding point, no mask."""
        point = torch.zeros(1, 1, 2, device=self.device)
        label = -torch.ones(1, 1, dtype=torch.int32, device=self.device)
        return self.network.sam_prompt_encoder(points=(point, label), boxes=None, masks=None)


def _with_holes_filled(step: Function) -> Function:
    """A step with the filled logits as its last result; apart, for OpenCV, which fills on a CPU, is not compiled."""

    def filled(*given: Tensor) -> Sequence[Tensor]:
        found = step(*given)
        return *found, fill_holes(found[1])

    return filled


def _enlarge(logits: Tensor, size: int, *, prompted: bool) -> Tensor:
    """Scale (B, 1, h, w) logits to (B, 1, size, size).

    The official code enlarges a prompted mask alone, but the three candidates of a tracked one as one image's channels.
    PyTorch's CPU kernel rounds by the number of channels, so tracked objects are enlarged in threes, too.
    """
    if prompted:
        return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
    filled = torch.cat((logits, logits[:1].expand(-len(logits) % 3, -1, -1, -1)))
    threes = filled.unflatten(0, (-1, 3))[:, :, 0]
    enlarged = F.interpolate(threes, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged.flatten(0, 1)[: len(logits), None]


def _shrink(downsampler: Any, masks: Tensor) -> Tensor:
    """The forward pass of SAM 2's `MaskDownSampler`: (B, 1, S, S) -> (B, C, S/16, S/16)."""
    for layer in downsampler.encoder:
        masks = normalise(layer, masks) if isinstance(layer, LayerNorm2d) else layer(masks)
    return masks


def _compute_dtype(device: torch.device) -> torch.dtype:
    """The type that linear layers and convolutions give in the current autocast mode."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def _tokens(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return features.flatten(2).transpose(1, 2)
