"""A verified checkpoint -> the SAM 2 network on a device, in a dtype."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.resources import as_file, files
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from torch.overrides import TorchFunctionMode

from sam2_cog.engine.checkpoints import chosen_model, fetch_checkpoint, find_checkpoint
from sam2_cog.engine.host_memory import keep_freed_memory
from sam2_cog.engine.steps import Features, Steps
from sam2_cog.errors import CheckpointError

logger = logging.getLogger(__name__)

SIZE_STEP = 32  # the image encoder halves the input five times
POSTPROCESSING = {  # what the official build_sam2_video_predictor(apply_postprocessing=True) gives the network
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}


class _Turn:
    """A lock that a thread which takes it again and again leaves to another that waits."""

    def __init__(self) -> None:
        self._door, self._room = Lock(), Lock()

    def __enter__(self) -> None:
        with self._door:  # whoever waits for the room holds the door, and so comes before whoever just left
            self._room.acquire()

    def __exit__(self, *_: object) -> None:
        self._room.release()


@dataclass(frozen=True)
class LoadedModel:
    """A SAM 2 network that is ready to run.

    `dtype` is the type of its matrix products and convolutions: bfloat16 on a GPU, float32 on the CPU.
    """

    name: str
    network: SAM2Base
    device: torch.device
    dtype: torch.dtype
    _turn: _Turn = field(default_factory=_Turn, repr=False, compare=False)

    @cached_property
    def steps(self) -> Steps:
        """The network's steps, with its constants."""
        return Steps(self.network)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run the network inside this, on the thread that runs it: no gradients, and `dtype`.

        One thread at a time; whoever waits comes next. The settings belong to the thread, so a generator must leave
        this before it yields.
        """
        low_precision = self.dtype == torch.bfloat16
        with (
            self._turn,
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=low_precision),
        ):
            yield

    def encode(self, image: np.ndarray) -> Features:
        """The features of a frame, (H, W, 3) uint8 RGB."""
        prepared = self.steps.prepare(image)
        with self.autocast():
            return self.steps.encode(prepared)


def load_model(
    name: str | None = None, *, weights_dir: str | Path | None = None, device: str | torch.device | None = None
) -> LoadedModel:
    """Load a model with its checkpoint, which is fetched first if it is missing.

    `name` is `large`, `base_plus`, `small`, `tiny` or `demo`; without it SAM2_MODEL decides, else it is `large`.
    Raises CheckpointError when the checkpoint cannot be had, is not the published one or does not fit the network, and
    InvalidRequest for a switch of the environment that is neither 0 nor 1.
    """
    name = name or chosen_model()
    target = _device(device)
    path = fetch_checkpoint(name, weights_dir)
    network = _unfilled_network(name)
    load_weights(network, path, name, target)
    return place_network(name, network, target)


def place_network(
    name: str,
    network: SAM2Base,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> LoadedModel:
    """Put a network on a device: the given one, else the GPU if there is one, else the CPU.

    dtype: float32 or bfloat16 instead of the device's own (see `LoadedModel`).
    Raises InvalidRequest for a switch of the environment that is neither 0 nor 1.
    """
    target = _device(device)
    dtype = dtype or (torch.bfloat16 if target.type == "cuda" else torch.float32)
    if target.type == "cpu":
        keep_freed_memory()
    if target.type != "cuda" and name != "demo":
        logger.warning("%s: running on the CPU in float32, which is slow: seconds for each frame and object", name)
    network = network.to(target).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, RoPEAttention):  # it is no buffer of theirs, so it stays where it was made
            module.freqs_cis = module.freqs_cis.to(network.no_mem_embed.device)
            module.rotation = torch.view_as_real(module.freqs_cis)  # the same memory, for compilers
    trunk = network.image_encoder.trunk
    # it depends on the weights and the size alone, yet SAM 2 makes it anew for every frame: some percent of the time
    trunk._get_pos_embed = cache(partial(type(trunk)._get_pos_embed, trunk))
    if dtype == torch.bfloat16:
        cast_products(network)
    model = LoadedModel(name, network, target, dtype)
    _ = model.steps  # made now, so that a wrong switch is refused here
    return model


def _device(device: str | torch.device | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def cast_products(network: torch.nn.Module) -> None:
    """Round the weights of all linear layers and convolutions to bfloat16, in place.

    Autocast rounds them so at every use (its cache lives no longer than one autocast block), so no value changes.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.to(torch.bfloat16)


def build_network(name: str, *, image_size: int | None = None, seed: int = 0) -> SAM2Base:
    """The network of a model with random weights, which depend on `seed` alone.

    `image_size` is the side of the square input in pixels, a multiple of 32, instead of the model's own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: SAM2Base = instantiate(read_config(name, image_size=image_size), _convert_="all")
    return network


class _NothingDrawn(TorchFunctionMode):
    """Leaves large weights unset where a layer would draw them at random; on the thread that enters this alone."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        return None if function is torch.nn.init.kaiming_uniform_ else function(*arguments, **(options or {}))


def _unfilled_network(name: str) -> SAM2Base:
    """The network of a model before it is given weights; what is computed rather than learned is in it."""
    with _NothingDrawn():
        return build_network(name)


def read_config(name: str, *, image_size: int | None = None) -> DictConfig:
    """The description of a model's network, as `hydra.utils.instantiate` takes it.

    Raises CheckpointError for an unknown name and ValueError for an image size that is no multiple of 32.
    """
    package, _, path = find_checkpoint(name).config.partition("/")
    with as_file(files(package) / path) as file:
        config = OmegaConf.load(file).model
    config.merge_with(POSTPROCESSING)
    if image_size is not None:
        if image_size <= 0 or image_size % SIZE_STEP:
            raise ValueError(f"image_size: {image_size} is not allowed, it must be a positive multiple of {SIZE_STEP}")
        _resize(config, image_size)
    return config


def _resize(config: DictConfig, image_size: int) -> None:
    """Set the input size; the rotary position encodings are laid out for the grid of tokens."""
    config.image_size = image_size
    side = image_size // config.get("backbone_stride", 16)
    for attention in (config.memory_attention.layer.self_attention, config.memory_attention.layer.cross_attention):
        attention.feat_sizes = [side, side]


def load_weights(network: SAM2Base, path: Path, name: str, device: torch.device | str = "cpu") -> None:
    """Give a network the weights of a file that holds `{"model": state_dict}`, on a device.

    The file is mapped, so that each weight goes from the system's cache of it straight to the device; on a CPU it is
    copied, too, so that nothing that happens to the file later changes a mask.
    Raises CheckpointError when the file holds anything else, or a weight is missing, unknown or of another shape.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
        found = {key: tuple(weight.shape) for key, weight in weights.items()}
    except Exception as error:  # torch.load raises almost anything on a file of another kind
        raise CheckpointError(
            f"{name}: {path} is not a checkpoint, it must be a file saved by torch that holds {{'model': weights}}"
        ) from error
    difference = _difference({key: tuple(weight.shape) for key, weight in network.state_dict().items()}, found)
    if difference:
        raise CheckpointError(
            f"{name}: {path} does not fit the network of {find_checkpoint(name).config}: {difference}"
        )
    placed = {key: weight.to(device, torch.float32, copy=True) for key, weight in weights.items()}
    network.load_state_dict(placed, strict=True, assign=True)


Shape = tuple[int, ...]


def _difference(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    """How the weights in a file differ from those of the network, or nothing."""
    reshaped = [key for key in expected if key in found and found[key] != expected[key]]
    kinds = {
        "missing": [key for key in expected if key not in found],
        "unknown": [key for key in found if key not in expected],
        "of another shape": [f"{key}: {found[key]} instead of {expected[key]}" for key in reshaped],
    }
    return ", ".join(
        f"{len(keys)} {kind} ({keys[0]}{', ...' if len(keys) > 1 else ''})" for kind, keys in kinds.items() if keys
    )
