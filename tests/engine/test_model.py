"""Building, loading and placing the network. The random tiny network stands for the official sizes."""

import logging
import pickle
import threading
import time
from pathlib import Path

import pytest
import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base

from sam2_cog.engine import checkpoints
from sam2_cog.engine.checkpoints import CHECKPOINTS
from sam2_cog.engine.model import (
    LoadedModel,
    _Turn,
    _unfilled_network,
    build_network,
    load_model,
    load_weights,
    place_network,
    read_config,
)
from sam2_cog.errors import CheckpointError
from tests.official import official_predictor, random_official_predictor

SIZE = 256
OFFICIAL = [name for name, checkpoint in CHECKPOINTS.items() if checkpoint.published]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tiny() -> SAM2Base:
    return build_network("tiny", image_size=SIZE)


@pytest.fixture(scope="module")
def demo(demo_model: LoadedModel) -> LoadedModel:
    return demo_model


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_network_is_the_official_builders(name: str) -> None:
    """The same description as build_sam2_video_predictor(apply_postprocessing=True) composes, but for the class."""
    path = CHECKPOINTS[name].config.removeprefix("sam2/")
    extra = "++model.sam_mask_decoder_extra_args.dynamic_multimask"
    official = compose(
        config_name=path,
        overrides=[
            f"{extra}_via_stability=true",
            f"{extra}_stability_delta=0.05",
            f"{extra}_stability_thresh=0.98",
            "++model.binarize_mask_from_pts_for_mem_enc=true",
        ],
    )
    expected = OmegaConf.to_container(official.model, resolve=True)
    assert OmegaConf.to_container(read_config(name), resolve=True) == expected


def test_the_demo_network_has_the_official_options() -> None:
    """Every switch of the demo network is the one of the official networks; only sizes differ."""
    ours, official = read_config("demo"), read_config("tiny")
    switches = [key for key, value in official.items() if not isinstance(value, DictConfig) and key != "image_size"]
    assert len(switches) > 20
    assert {key: ours.get(key) for key in switches} == {key: official[key] for key in switches}
    assert ours.sam_mask_decoder_extra_args == official.sam_mask_decoder_extra_args


def test_a_network_depends_on_its_seed_alone() -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = build_network("demo", seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(12)
    again, other = (build_network("demo", seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("image_size", [0, -32, 100, 1000])
def test_an_input_size_that_does_not_fit_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"^image_size: {image_size} is not allowed, .* multiple of 32$"):
        build_network("demo", image_size=image_size)


def attention_inputs(network: SAM2Base, side: int) -> dict[str, torch.Tensor | list[torch.Tensor] | int]:
    generator = torch.Generator().manual_seed(0)
    tokens, memory = side * side, 2 * side * side + 4
    current = [torch.randn(tokens, 1, network.hidden_dim, generator=generator) for _ in range(2)]
    past = [torch.randn(memory, 1, network.mem_dim, generator=generator) for _ in range(2)]
    return {
        "curr": current[:1],
        "curr_pos": current[1:],
        "memory": past[0],
        "memory_pos": past[1],
        "num_obj_ptr_tokens": 4,
    }


def test_another_input_size_runs_with_the_encodings_of_its_grid(tiny: SAM2Base) -> None:
    loaded = place_network("tiny", tiny, "cpu")
    rotary = [module for module in tiny.modules() if isinstance(module, RoPEAttention)]
    tables = [module.freqs_cis for module in rotary]
    assert {table.shape[0] for table in tables} == {(SIZE // 16) ** 2}
    with loaded.autocast():
        features = tiny.forward_image(torch.zeros(1, 3, SIZE, SIZE))
        attended = tiny.memory_attention(**attention_inputs(tiny, SIZE // 16))
    assert [tuple(level.shape[-2:]) for level in features["backbone_fpn"]] == [(64, 64), (32, 32), (16, 16)]
    assert attended.shape == (256, 1, 256)
    assert attended.isfinite().all()
    assert all(module.freqs_cis is table for module, table in zip(rotary, tables, strict=True)), "made again on the way"


def test_the_network_is_ready_for_inference_and_nothing_global_changed(demo: LoadedModel) -> None:
    assert not demo.network.training
    assert not any(parameter.requires_grad for parameter in demo.network.parameters())
    assert {parameter.dtype for parameter in demo.network.parameters()} == {torch.float32}
    assert (demo.name, demo.device, demo.dtype) == ("demo", torch.device("cpu"), torch.float32)
    assert torch.is_grad_enabled()
    with demo.autocast():
        assert torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
    assert not torch.is_inference_mode_enabled()


def test_on_a_gpu_products_are_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placing needs the GPU itself, so only the choice is seen here."""
    moved: list[torch.device] = []
    network = build_network("demo")

    def to(device: torch.device) -> torch.nn.Module:
        moved.append(device)
        return network

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(network, "to", to)
    loaded = place_network("large", network)
    assert (loaded.device, loaded.dtype, moved) == (torch.device("cuda"), torch.bfloat16, [torch.device("cuda")])
    convolution, norm = network.memory_encoder.out_proj, network.memory_attention.norm
    assert (convolution.weight.dtype, norm.weight.dtype) == (torch.bfloat16, torch.float32)


def test_the_place_codes_of_the_encoder_are_made_once_for_each_placing() -> None:
    network = build_network("demo")
    trunk = place_network("demo", network, "cpu").network.image_encoder.trunk
    size = torch.Size((64, 64))
    codes = trunk._get_pos_embed(size)
    assert torch.equal(codes, type(trunk)._get_pos_embed(trunk, size))
    assert trunk._get_pos_embed(size) is codes
    torch.nn.init.ones_(trunk.pos_embed)
    place_network("demo", network, "cpu")
    assert not torch.equal(trunk._get_pos_embed(size), codes)


def test_autocast_makes_products_bfloat16(demo: LoadedModel) -> None:
    loaded = LoadedModel("x", demo.network, torch.device("cpu"), torch.bfloat16)
    layer = torch.nn.Linear(4, 4)
    with loaded.autocast():
        assert layer(torch.zeros(1, 4)).dtype == torch.bfloat16
    assert layer(torch.zeros(1, 4)).dtype == torch.float32


def test_the_cpu_is_called_slow_except_for_the_demo(demo: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    place_network("demo", demo.network, "cpu")
    assert caplog.messages == []
    place_network("large", demo.network, "cpu")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "slow" in caplog.text


def test_the_demo_weights_are_the_files(demo: LoadedModel) -> None:
    saved = torch.load(checkpoints.PROJECT / "weights" / "demo.pt", weights_only=True)["model"]
    loaded = demo.network.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[key], loaded[key]) for key in saved)
    assert all(value.isfinite().all() for value in loaded.values())


def test_the_environment_chooses_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MODEL", "demo")
    assert load_model(device="cpu").name == "demo"
    monkeypatch.setenv("SAM2_MODEL", "enormous")
    with pytest.raises(CheckpointError, match="'enormous' is not known"):
        load_model()


def test_a_truncated_official_checkpoint_never_reaches_the_network(tmp_path: Path) -> None:
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"^tiny: the checkpoint .*tiny\.pt has 2 bytes, but the published"):
        load_model("tiny", weights_dir=tmp_path)


def test_weights_of_another_network_are_refused_in_one_sentence(demo: LoadedModel, tmp_path: Path) -> None:
    weights = demo.network.state_dict()
    weights["extra.weight"] = torch.zeros(1)
    weights["no_mem_embed"] = torch.zeros(2, 3)
    del weights["no_obj_ptr"], weights["mask_downsample.bias"]
    torch.save({"model": weights}, tmp_path / "other.pt")
    network = build_network("demo")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as refusal:
        load_weights(network, tmp_path / "other.pt", "demo")
    assert str(refusal.value) == (
        f"demo: {tmp_path / 'other.pt'} does not fit the network of sam2_cog/configs/demo.yaml: "
        "2 missing (no_obj_ptr, ...), 1 unknown (extra.weight), "
        "1 of another shape (no_mem_embed: (2, 3) instead of (1, 1, 64))"
    )
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def every_tensor(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, buffers and what a module computed for itself, which no checkpoint holds."""
    found = dict(network.state_dict())
    for name, module in network.named_modules():
        held = vars(module) | module._buffers | vars(module).get("cache", {})
        found |= {f"{name}.{key}": value for key, value in held.items() if isinstance(value, torch.Tensor)}
    return found


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_a_network_that_was_never_random_is_the_same_in_every_tensor(name: str, tmp_path: Path) -> None:
    """What nobody fills is filled with NaN here, so that no tensor is right by chance."""
    random, path = build_network(name, seed=5), tmp_path / "weights.pt"
    torch.save({"model": random.state_dict()}, path)
    torch.use_deterministic_algorithms(True)
    try:
        before = torch.random.get_rng_state()
        unfilled = _unfilled_network(name)
        assert torch.equal(torch.random.get_rng_state(), before)
    finally:
        torch.use_deterministic_algorithms(False)
    assert any(weight.isnan().any() for weight in unfilled.parameters()), "it was drawn at random after all"
    load_weights(unfilled, path, name)
    expected, found = every_tensor(random), every_tensor(unfilled)
    assert sum(key.endswith("freqs_cis") for key in expected) == 2 * len(random.memory_attention.layers)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert [type(weight) for weight in unfilled.parameters()] == [torch.nn.Parameter for _ in random.parameters()]


def test_a_loaded_network_outlives_its_file(demo: LoadedModel, tmp_path: Path) -> None:
    path, network = tmp_path / "weights.pt", build_network("demo")
    torch.save({"model": demo.network.state_dict()}, path)
    load_weights(network, path, "demo")
    path.write_bytes(b"")  # in place: what is still mapped of it is gone
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in demo.network.state_dict().items())


def test_weights_of_another_type_become_float32(demo: LoadedModel, tmp_path: Path) -> None:
    path, network = tmp_path / "weights.pt", build_network("demo")
    torch.save({"model": {key: value.half() for key, value in demo.network.state_dict().items()}}, path)
    load_weights(network, path, "demo")
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


class Attack:
    """A pickle that would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_that_is_no_checkpoint_is_refused(demo: LoadedModel, tmp_path: Path) -> None:
    victim, path = tmp_path / "made", tmp_path / "file.pt"
    saved = tmp_path / "saved.pt"
    contents = [b"", b"hello", b"PK\x03\x04", pickle.dumps({"model": Attack(victim)}, protocol=2)]
    values: tuple[object, ...] = ({"weights": {}}, {"model": [1]}, {"model": {"a": 1}}, [1], {"model": Attack(victim)})
    for value in values:
        torch.save(value, saved)
        contents.append(saved.read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"^demo: {path} is not a checkpoint, .*$"):
            load_weights(demo.network, path, "demo")
    assert not victim.exists()


def test_the_official_predictor_has_the_same_network(demo: LoadedModel) -> None:
    predictor = official_predictor("demo", demo.network)
    assert (predictor.fill_hole_area, predictor.image_size) == (8, demo.network.image_size)
    assert predictor.add_all_frames_to_correct_as_cond
    assert not official_predictor(
        "demo", demo.network, add_all_frames_to_correct_as_cond=False
    ).add_all_frames_to_correct_as_cond
    options = {key: value for key, value in vars(demo.network).items() if isinstance(value, (bool, int, float))}
    assert len(options) > 20
    assert {key: vars(predictor)[key] for key in options} == options
    image = torch.rand(1, 3, predictor.image_size, predictor.image_size, generator=torch.Generator().manual_seed(1))
    with demo.autocast():
        ours, theirs = (network.forward_image(image)["vision_features"] for network in (demo.network, predictor))
    assert torch.equal(ours, theirs)


def test_the_random_official_predictor_has_the_weights_of_the_random_network() -> None:
    ours, theirs = build_network("demo").state_dict(), random_official_predictor("demo").state_dict()
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        assert torch.equal(weights, theirs[name]), name


def test_postprocessing_is_in_the_mask_decoder(demo: LoadedModel) -> None:
    decoder = demo.network.sam_mask_decoder
    assert decoder.dynamic_multimask_via_stability
    assert (decoder.dynamic_multimask_stability_delta, decoder.dynamic_multimask_stability_thresh) == (0.05, 0.98)
    assert demo.network.binarize_mask_from_pts_for_mem_enc


def test_who_waits_for_the_network_comes_before_who_just_had_it() -> None:
    turn, turns, done = _Turn(), [0], threading.Event()

    def track() -> None:
        while not done.is_set():
            with turn:
                turns[0] += 1
                time.sleep(0.002)

    thread = threading.Thread(target=track)
    thread.start()
    waited = []
    try:
        for _ in range(20):
            time.sleep(0.001)
            before = turns[0]
            with turn:
                waited.append(turns[0] - before)
    finally:
        done.set()
        thread.join()
    assert max(waited) <= 1 and sum(waited) <= 6, "with a common lock the other is often there again first"
