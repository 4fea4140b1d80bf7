"""Training: single frames first, then clips of growing length, through the official network's own tracking step."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Sampler

from tools.train_demo.batches import Batch, Batches
from tools.train_demo.initial import initialise
from tools.train_demo.losses import frame_loss
from tools.train_demo.network import RunningMean, build, save_atomically
from tools.train_demo.prompts import KINDS, SHARES, SHARES_BESIDE_BOX, Prompt, correction, prompt
from tools.train_demo.score import VALIDATION_SEEDS, score
from tools.train_demo.shapes import Rng
from tools.train_demo.textures import load_photos

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as the official predictor normalises
FULL_SIZE = 256
CORRECTED = 0.2  # share of the clips' batches in which one later frame is corrected by a click


@dataclass(frozen=True)
class Settings:
    """How to train. `clips` is a worker's batch of full-size clips of 8 frames; others are scaled to it."""

    out: Path
    runs: Path
    init: Path | None = None
    photos: Path | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 1
    makers: int = 0
    minutes: float = 90.0
    clips: int = 2
    rate: float = 5e-4
    seed: int = 0
    evaluate_minutes: float = 10.0
    validation_clips: int = 6


@dataclass(frozen=True)
class Stage:
    """Until this share of the run, train on clips of so many frames and pixels a side."""

    until: float
    frames: int
    size: int


STAGES = (  # half the size costs a quarter, and what is learnt there holds at the full size
    Stage(0.10, 1, 128),
    Stage(0.40, 4, 128),
    Stage(0.65, 4, 192),
    Stage(0.70, 8, 192),
    Stage(1.00, 8, FULL_SIZE),
)


class _From(Sampler[int]):
    """first, first + 1, ... without end."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        step = self.first
        while True:
            yield step
            step += 1


class Tracker:
    """Runs the network over a batch of clips as the official predictor does, and keeps what the mask decoder gave."""

    def __init__(self, network: Any, device: str) -> None:
        self.network, self.device = network, device
        decode = network.sam_mask_decoder.predict_masks

        def keep(*args: Any, **kwargs: Any) -> Any:
            self.decoded = decode(*args, **kwargs)
            return self.decoded

        network.sam_mask_decoder.predict_masks = keep

    def loss(self, batch: Batch, rng: np.random.Generator) -> torch.Tensor:
        """The mean loss over the frames of a batch of single frames or of clips."""
        truth = torch.from_numpy(batch.truth).to(self.device).float()
        features = self._features(batch.images)
        losses = self._losses_of_frames if truth.shape[1] == 1 else self._losses_of_clips
        return torch.stack(losses(batch, features, truth, rng)).mean()

    def _losses_of_frames(self, batch: Batch, features: Any, truth: torch.Tensor, rng: Rng) -> list[torch.Tensor]:
        """One from a box, one from another prompt: a second look at the same features costs little."""
        losses = []
        for kind in ("box", str(rng.choice(KINDS, p=SHARES_BESIDE_BOX))):
            given = prompt(rng, kind, batch.truth[:, 0], batch.clip_of)
            self._step(0, self._select(features, 0, batch), given, {}, None)
            losses.append(self._frame_loss(truth[:, 0], given))
        return losses

    def _losses_of_clips(self, batch: Batch, features: Any, truth: torch.Tensor, rng: Rng) -> list[torch.Tensor]:
        """Prompts on frame 0, now and then a correction on a later one."""
        frames = truth.shape[1]
        kind = str(rng.choice(KINDS, p=SHARES))
        corrected = int(rng.integers(1, frames)) if rng.random() < CORRECTED else -1
        memory: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        losses = []
        for index in range(frames):
            given = prompt(rng, kind, batch.truth[:, 0], batch.clip_of) if index == 0 else None
            seen = self._select(features, index, batch)
            output = self._step(index, seen, given, memory, None)
            if given is None or given.masks is None:
                losses.append(self._frame_loss(truth[:, index], given))
            if index == corrected:
                fix = correction(rng, (output["masks"][:, 0] > 0).cpu().numpy(), batch.truth[:, index])
                output = self._step(index, seen, fix, memory, output["low"].detach().clamp(-32.0, 32.0))
                losses.append(self._frame_loss(truth[:, index], fix))
            memory["cond_frame_outputs" if index in (0, corrected) else "non_cond_frame_outputs"][index] = output
            self._remember(seen, output)
        return losses

    def _features(self, images: np.ndarray) -> dict[str, list[torch.Tensor]]:
        """The encoder's features of all frames at once, in the order frame, clip."""
        pixels = torch.from_numpy(images).to(self.device).permute(1, 0, 4, 2, 3).flatten(0, 1).float() / 255
        mean, deviation = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (MEAN, DEVIATION))
        return self.network.forward_image((pixels - mean) / deviation)

    def _select(self, features: dict[str, list[torch.Tensor]], index: int, batch: Batch) -> tuple[Any, Any, Any]:
        """Frame `index` for every object of the batch, as the tracking step takes it."""
        rows = torch.from_numpy(index * len(batch.images) + batch.clip_of).to(self.device)
        chosen = {
            "backbone_fpn": [level[rows] for level in features["backbone_fpn"]],
            "vision_pos_enc": [level[:1].expand(len(rows), -1, -1, -1) for level in features["vision_pos_enc"]],
        }
        return self.network._prepare_backbone_features(chosen)[1:]

    def _step(self, index: int, seen: tuple[Any, Any, Any], given: Prompt | None, memory: Any, before: Any) -> Any:
        """One call of the official step; `before` are the logits of this frame that a correction starts from."""
        points = masks = None
        if given is not None and given.masks is not None:
            masks = torch.from_numpy(given.masks).to(self.device)[:, None].float()
        elif given is not None:
            points = {
                "point_coords": torch.from_numpy(given.points).to(self.device),
                "point_labels": torch.from_numpy(given.labels).to(self.device),
            }
        output, result, _, _ = self.network._track_step(
            index, index == 0, *seen, points, masks, memory, 64, False, before
        )
        _, _, _, low, high, pointer, score_logits = result
        return output | {"low": low, "masks": high, "obj_ptr": pointer, "score": score_logits, "points": points}

    def _frame_loss(self, truth: torch.Tensor, given: Prompt | None) -> torch.Tensor:
        masks, ious, _, score_logits = self.decoded
        ambiguous = given is None or given.labels is None or given.labels.shape[1] <= 1
        return frame_loss(masks, ious, score_logits, truth[:, None], ambiguous=ambiguous)

    def _remember(self, seen: tuple[Any, Any, Any], output: Any) -> None:
        self.network._encode_memory_in_output(
            seen[0], seen[2], output["points"], True, output["masks"], output["score"], output
        )


class Trainer:
    """A run of one worker: network, optimiser, running mean and clock; worker 0 evaluates and writes."""

    def __init__(self, settings: Settings, rank: int = 0) -> None:
        self.settings, self.rank = settings, rank
        torch.manual_seed(settings.seed)
        network = build(settings.init)
        if settings.init is None:
            initialise(network)
        self._set_up(network)
        self.mean = RunningMean(self.network)
        self.photos = load_photos(settings.photos) if settings.photos else []
        self.step, self.seconds, self.progress = 0, 0.0, 0.0
        self.losses: list[float] = []
        self.state_file = settings.runs / "state.pt"
        if self.state_file.exists():
            self._resume()
        self.evaluated, self.counted_to = self.seconds, time.perf_counter()

    def run(self) -> None:
        """Train until the minutes are used up, through the stages that are still ahead."""
        for stage in STAGES:
            if self.progress >= stage.until or (self.settings.init and stage.size <= FULL_SIZE // 2):
                continue  # what half the size teaches, a checkpoint has learnt already
            self.resize(stage.size)
            for batch in self._batches(stage):
                self.train_on(batch)
                if self.rank == 0 and self.seconds - self.evaluated > 60 * self.settings.evaluate_minutes:
                    self.checkpoint()
                if self.progress >= stage.until:
                    break
        if self.rank == 0:
            self.checkpoint()

    def _set_up(self, network: Any) -> None:
        self.network = network.to(self.settings.device)
        self.tracker = Tracker(self.network, self.settings.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), self.settings.rate, (0.9, 0.98), weight_decay=0.02
        )

    def resize(self, size: int) -> None:
        """Go on with the same weights and optimiser in a network for frames of `size` pixels."""
        weights, optimiser = self.network.state_dict(), self.optimiser.state_dict()
        self._set_up(build(image_size=size))
        self.network.load_state_dict(weights)
        self.optimiser.load_state_dict(optimiser)

    def _batches(self, stage: Stage) -> DataLoader[Batch]:
        clips = math.ceil(self.settings.clips * 8 * FULL_SIZE / (max(stage.frames, 2) * stage.size))
        data = Batches(1000 * self.settings.seed + self.rank, clips, stage.frames, stage.size, self.photos)
        makers = self.settings.makers
        return DataLoader(data, batch_size=None, sampler=_From(self.step), num_workers=makers, collate_fn=_same)

    def train_on(self, batch: Batch) -> float:
        """One step of the optimiser on one batch (on the mean over all workers); returns this worker's loss."""
        rng = np.random.default_rng([self.settings.seed, self.rank, self.step])
        loss = self.tracker.loss(batch, rng)
        self.optimiser.zero_grad()
        loss.backward()
        self._share()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * min(1.0, (self.step + 1) / 60) * _cosine(self.progress)
        self.optimiser.step()
        if self.rank == 0:
            self.mean.update(self.network, self.step)
        self.losses.append(loss.item())
        self.step += 1
        now = time.perf_counter()
        self.seconds, self.counted_to = self.seconds + now - self.counted_to, now
        return loss.item()

    def _share(self) -> None:
        """Average the gradients over the workers, and take the clock of worker 0, so that all do the same and stop."""
        clock = self.seconds / (60 * self.settings.minutes)
        if self.settings.workers > 1:
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.network.parameters()]
            flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([clock if self.rank == 0 else 0.0])])
            dist.all_reduce(flat)
            flat /= self.settings.workers
            for parameter, piece in zip(
                self.network.parameters(), flat.split([g.numel() for g in gradients] + [1]), strict=False
            ):
                parameter.grad = piece.view_as(parameter).clone()
            clock = float(flat[-1]) * self.settings.workers
        self.progress = min(max(clock, self.progress), 1.0)

    def checkpoint(self) -> None:
        """Write the state and the mean weights, measure them, and add a line to the log."""
        self.evaluated = self.seconds
        self.save()
        line = self._measured()
        self.losses = []
        print(json.dumps(line), flush=True)
        with (self.settings.runs / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.counted_to = time.perf_counter()

    def save(self) -> None:
        """Write the state, from which a run goes on, and the checkpoint: the mean weights."""
        state = {
            "model": self.network.state_dict(),
            "mean": self.mean.weights,
            "optimiser": self.optimiser.state_dict(),
        }
        save_atomically(state | {"step": self.step, "seconds": self.seconds}, self.state_file)
        save_atomically({"model": {k: v.cpu() for k, v in self.mean.weights.items()}}, self.settings.out)

    def _measured(self) -> dict[str, float]:
        """A line of the log: where the run stands and J on the validation clips."""
        predictor = build(self.settings.out, self.network.image_size, predictor=True).to(self.settings.device)
        measured = score(predictor, VALIDATION_SEEDS[: self.settings.validation_clips], frames=24)
        return {
            "minutes": round(self.seconds / 60, 1),
            "step": self.step,
            "size": self.network.image_size,
            "progress": round(self.progress, 3),
            "loss": round(float(np.mean(self.losses or [math.nan])), 4),
            "j": round(measured.mean, 4),
            "j_frame_0": round(float(measured.j[measured.frame_of == 0].mean()), 4),
            "j_last_4": round(float(measured.j[measured.frame_of >= 20].mean()), 4),
        }

    def _resume(self) -> None:
        state = torch.load(self.state_file, map_location=self.settings.device, weights_only=True)
        self.network.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean.weights = state["mean"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.progress = min(self.seconds / (60 * self.settings.minutes), 1.0)  # more minutes: the rate rises again


def _same(batch: Any) -> Any:
    return batch


def _cosine(progress: float) -> float:
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def run_worker(rank: int, settings: Settings, port: int) -> None:
    """One process of a run: joins the others, if any, and trains."""
    cv2.setNumThreads(1)
    torch.set_num_threads(settings.threads)
    if settings.workers > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=settings.workers)
    trainer = Trainer(settings, rank)
    if rank == 0:
        print(json.dumps({key: str(value) for key, value in asdict(settings).items()}), flush=True)
    trainer.run()
    if settings.workers > 1:
        dist.destroy_process_group()
