"""Are the masks of a session those of a fresh run, and what does an edit cost? `python -m benchmarks.session`.

Random edits of up to three objects on the first frames of the sample: clicks, corrections, objects that come and go,
tracking that is broken off; after each, every mask is compared with a fresh run of the same prompts. Then clicks on the
sample as a page makes them: from the click to the mask.
"""

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from sam2_cog import Session
from sam2_cog.engine.incremental import IncrementalTracker, Tracks
from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.tracker import Tracker
from sam2_cog.media.video import probe, read_frames
from tests.edits import Edits
from tests.scenarios import MemoryClip

SAMPLE = Path("samples/two_birds.mp4")


@dataclass
class Totals:
    """What some rounds took, and how many masks of how many differ from those of a fresh run."""

    session_seconds: float = 0.0
    fresh_seconds: float = 0.0
    differing: int = 0
    compared: int = 0
    broken_off: int = 0


def main() -> None:
    """Print a row for each sequence of edits, their sum, and the times of clicks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=5, help="each begins with a new session")
    parser.add_argument("--rounds", type=int, default=20, help="edits in each sequence")
    parser.add_argument("--first", type=int, default=0, help="seed of the first sequence")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--journal-bytes", type=int, default=1 << 33)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model("demo", device="cpu")
    clip = MemoryClip(tuple(frame.image for frame in read_frames(probe(SAMPLE), 0, arguments.frames)))
    print(
        f"{'seed':>4}  {'rounds':>6}  {'broken off':>10}  {'session s':>9}  {'fresh s':>8}  {'masks':>6}  {'differ':>6}"
    )
    sequences = [
        _edit(model, clip, seed, arguments.rounds, arguments.journal_bytes)
        for seed in range(arguments.first, arguments.first + arguments.sequences)
    ]
    session, fresh = sum(one.session_seconds for one in sequences), sum(one.fresh_seconds for one in sequences)
    masks, differing = sum(one.compared for one in sequences), sum(one.differing for one in sequences)
    rounds = arguments.sequences * arguments.rounds
    print(f"{rounds} rounds: {session:.1f} s in the session, {fresh:.1f} s afresh; {differing} of {masks} masks differ")
    if arguments.clicks:
        _click(model, arguments.clicks)


def _edit(model: LoadedModel, clip: MemoryClip, seed: int, rounds: int, journal_bytes: int) -> Totals:
    edits, totals = Edits(seed, clip.width, clip.height, clip.frame_count), Totals()
    tracker = IncrementalTracker(model, clip, journal_bytes)
    with closing(tracker):
        for _ in range(rounds):
            propagation = edits.chance.choice(["both", "both", "forward"])
            passes = Passes.of(edits.objects(), clip.frame_count, propagation)
            begin = time.perf_counter()
            tracks = tracker.begin(edits.objects(), passes)
            if edits.chance.random() < 0.3:
                totals.broken_off += 1
                with closing(tracker.advance(tracks)) as found:
                    list(islice(found, edits.chance.randint(1, clip.frame_count)))
            for _ in tracker.advance(tracks):
                pass
            totals.session_seconds += time.perf_counter() - begin
            _compare(model, clip, tracker, tracks, totals, propagation)
            edits.edit()
    row = f"{seed:>4}  {rounds:>6}  {totals.broken_off:>10}  {totals.session_seconds:9.1f}  {totals.fresh_seconds:8.1f}"
    print(f"{row}  {totals.compared:>6}  {totals.differing:>6}", flush=True)
    return totals


def _compare(
    model: LoadedModel,
    clip: MemoryClip,
    tracker: IncrementalTracker,
    tracks: Tracks,
    totals: Totals,
    propagation: str,
) -> None:
    begin = time.perf_counter()
    expected = [masks for _, masks in Tracker(model).track(clip, tracks.objects, propagation)]
    totals.fresh_seconds += time.perf_counter() - begin
    for masks in expected:
        found = tracker.masks(tracks, masks.frame_index)
        assert found is not None
        totals.compared += len(masks.objects)
        totals.differing += sum(a != b for a, b in zip(found.objects, masks.objects, strict=True))
        totals.differing += int(np.count_nonzero(found.scores != masks.scores))


def _click(model: LoadedModel, clicks: int) -> None:
    """Milliseconds from a click to its mask, on the whole sample."""
    with Session(SAMPLE, model) as session:
        frames = random.Random(0).sample(range(session.info.frame_count), clicks)
        birds = session.parse("[80,222],[556,96]")
        _row("first click on a frame", [_milliseconds(_preview, session, frame, 0) for frame in frames])
        _row("a further click on a frame", [_warm(session, frame, number) for number, frame in enumerate(frames)])
        thread = threading.Thread(target=lambda: list(session.track(birds)))
        thread.start()
        while not session.masks(0):
            time.sleep(0.01)
        busy = [_warm(session, frame, number) for number, frame in enumerate(frames) if thread.is_alive()]
        _row("the same while another thread tracks", busy)
        thread.join()
        _row("a correction of a tracked frame", [_corrected(session, frame) for frame in frames if frame])
        _row("the next frame", [_milliseconds(session.picture, frame) for frame in range(30, 60)])


def _warm(session: Session, frame: int, number: int) -> float:
    session.warm(frame)
    return _milliseconds(_preview, session, frame, 1 + number)


def _preview(session: Session, frame: int, shift: int) -> None:
    session.preview(session.parse(f"[{80 + shift},222]", click_frames=str(frame)), frame)


def _corrected(session: Session, frame: int) -> float:
    session.warm(frame)
    return _milliseconds(_correct, session, frame)


def _correct(session: Session, frame: int) -> None:
    strings = ("[80,222],[556,96],[300,140]", "1,1,0", f"0,0,{frame}", "object_1,object_2,object_1")
    session.preview(session.parse(*strings), frame)


def _milliseconds(work: Callable[..., object], *arguments: object) -> float:
    begin = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - begin)


def _row(what: str, times: list[float]) -> None:
    if times:
        print(f"{what:<40}  median {statistics.median(times):6.0f} ms  longest {max(times):6.0f} ms  of {len(times)}")


if __name__ == "__main__":
    main()
