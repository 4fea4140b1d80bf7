"""`sam2-cog batch` and `sam2-cog estimate`: their flags, and what they print."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from sam2_cog.engine.checkpoints import chosen_model
from sam2_cog.engine.model import load_model
from sam2_cog.errors import InvalidRequest
from sam2_cog.fleet.batch import Watch, run_batch
from sam2_cog.fleet.cost import Estimate, estimate
from sam2_cog.fleet.manifest import Job, check_apart, read_manifest, shard_of
from sam2_cog.fleet.status import Event, Status, left_to_do
from sam2_cog.fleet.storage import Results, is_address

SOME_FAILED = 1

DESCRIPTION = """\
Carry out every row of a manifest on one loaded model. MANIFEST is a .csv, .jsonl or .parquet table with a row per
request: the inputs by their own names, and `id`, which names the result. Run again, only what is missing or changed
runs. DIR/status.jsonl says what became of each clip. Exit code: 0 all done, 1 some failed, 2 refused, 130 interrupted.
"""


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `batch`, save `--model`, which is everybody's."""
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="a .csv, .jsonl or .parquet table")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder or address (s3://...) of the results")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="workers with a GPU each: of the Ray cluster at ADDRESS or in RAY_ADDRESS, else of this machine",
    )
    parser.add_argument(
        "--workers", type=_count, metavar="N", help="of --ray (default: one for each GPU, or one without a GPU)"
    )
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the rows, I from 0")


def add_estimate_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `estimate`."""
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="a .csv, .jsonl or .parquet table")
    parser.add_argument("--price-per-hour", required=True, type=_positive, metavar="P", help="of the machine")
    parser.add_argument("--fps", required=True, type=_positive, metavar="F", help="frames a second with one object")


def run(arguments: argparse.Namespace) -> int:
    """Carry out a batch, print a line for each clip and a table at the end; returns the exit code."""
    arguments.model = arguments.model or chosen_model()
    carry_out = _way(arguments)
    manifest = arguments.manifest.absolute()  # a worker of another machine has another working folder
    jobs = read_manifest(manifest, arguments.model)
    if not is_address(arguments.output):
        check_apart(jobs, Path(arguments.output))
    index, count = arguments.shard or (0, 1)
    jobs = shard_of(jobs, index, count)
    name = f"status-{index}-of-{count}.jsonl" if arguments.shard else "status.jsonl"
    results = Results(arguments.output, arguments.checkpoint)
    try:
        results.bring(name)
        with Status(results.path(name)) as status:
            todo = left_to_do(jobs, status, results)
            events: list[Event] = []
            with tqdm(total=len(todo), unit="clip", disable=not sys.stderr.isatty()) as bar:

                def watch(event: Event) -> None:
                    events.append(event)
                    results.keep(name, move=False)
                    bar.write(_line(event), file=sys.stdout)
                    bar.update()

                if todo:
                    carry_out(todo, status, results, watch)
        print(_summary(events, len(jobs) - len(todo)))
        return SOME_FAILED if any(event.status == "failed" for event in events) else 0
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is done stays, and the same command goes on from there") from None
    finally:
        results.close()


Way = Callable[[Sequence[Job], Status, Results, Watch], None]


def _way(arguments: argparse.Namespace) -> Way:
    """How the jobs are carried out: in this process, or by the workers of Ray."""
    if arguments.ray is None:
        if arguments.workers is not None:
            raise InvalidRequest("workers: they are Ray's, so --workers needs --ray")
        return lambda jobs, status, results, watch: run_batch(jobs, load_model(arguments.model), status, results, watch)
    try:
        from sam2_cog.fleet.ray_workers import run_on_ray
    except ImportError:
        raise InvalidRequest("ray: it is not installed: pip install 'sam2-cog[ray]'") from None
    options = {"model": arguments.model, "place": arguments.output, "address": arguments.ray}
    numbers = {"workers": arguments.workers or 0, "checkpoint": arguments.checkpoint}
    return lambda jobs, status, results, watch: run_on_ray(jobs, status, watch, **options, **numbers)


def run_estimate(arguments: argparse.Namespace) -> None:
    """Print what a manifest would take."""
    found = estimate(read_manifest(arguments.manifest), arguments.fps, arguments.price_per_hour)
    print(_estimate_table(found))


def _line(event: Event) -> str:
    if event.status == "failed":
        return f"{event.id}: failed: {event.error}"
    return f"{event.id}: {event.frames} frames, {event.objects} objects, {event.seconds:.1f} s, {event.output}"


def _summary(events: Sequence[Event], skipped: int) -> str:
    counts = Counter(event.status for event in events)
    done = [event for event in events if event.status == "done"]
    frames, seconds = sum(event.frames for event in done), sum(event.seconds for event in done)
    rate = f", {frames / seconds:.1f} frames/s" if seconds else ""
    rows = [f"done {counts['done']}, failed {counts['failed']}, done before {skipped}; {frames} frames{rate}"]
    return "\n".join(rows + [f"  failed: {event.id}: {event.error}" for event in events if event.status == "failed"])


def _estimate_table(found: Estimate) -> str:
    lines = [
        f"clips         {found.clips}",
        f"frames        {found.frames}",
        f"object frames {found.object_frames}",
        f"hours         {found.hours:.2f}",
        f"price         {found.price:.2f}",
    ]
    return "\n".join(lines + [f"  not counted: {name}: {why}" for name, why in found.unreadable])


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not I/N with I from 0 to N - 1, such as 0/8")
    return int(match[1]), int(match[2])


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0")
    return number
