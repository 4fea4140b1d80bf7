"""What `benchmarks.gpu` does, in the order of its importance, and how long each part may take at most."""

from collections.abc import Iterator
from dataclasses import dataclass

SPEED_HEAD = (
    "| network | video | objects | tracker | ms a frame | frames/s | share of the limit on paper | GPU MiB |",
    "|---|---|---|---|---|---|---|---|",
)
RIGHT_HEAD = ("| what | compared | found |", "|---|---|---|")
COMPILE, NO_GRAPHS = "SAM2_COMPILE=1", "SAM2_CUDA_GRAPHS=0"
HOST_HEAD = ("| 1080p | objects | frames/s | seconds of |", "|---|---|---|---|")


@dataclass(frozen=True)
class Part:
    """A module with its arguments; it is told `--seconds` and prints lines of Markdown.

    switches: what is set in the environment for it, as `NAME=value`.
    """

    title: str
    name: str
    seconds: float
    command: tuple[str, ...]
    switches: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


def parts(device: str, *, quick: bool) -> Iterator[Part]:
    """All parts; quick: the same ones with the demo network, without what only a GPU has."""
    small, large = ("demo", "demo") if quick else ("tiny", "large")
    common = ("--device", device, *(("--quick",) if quick else ()))

    def right(what: str, seconds: float, *switches: str) -> Part:
        command = ("benchmarks.gpu.right", what, *common)
        return Part("Right?", _named(what, switches), seconds, command, switches, RIGHT_HEAD)

    def speed(network: str, tracker: str, seconds: float, *switches: str) -> Part:
        name = _named(f"{network}, {tracker}", switches)
        command = ("benchmarks.gpu.speed", network, tracker, *common, "--called", _named(tracker, switches))
        return Part("How fast?", name, seconds, command, switches, SPEED_HEAD)

    yield right("float32", 60)
    yield right("bfloat16", 40)
    yield right("operations", 30)
    yield speed(large, "ours", 60)
    yield speed(large, "official", 60)
    if not quick:
        yield right("bfloat16", 20, NO_GRAPHS)
        yield speed(large, "ours", 50, NO_GRAPHS)
        yield speed(small, "ours", 35)
        yield speed(small, "official", 35)
    yield Part("Where does the time go?", "profile", 40, ("benchmarks.gpu.where", large, *common))
    yield Part("The host path", "host path", 45, ("benchmarks.gpu.host", large, *common), (), HOST_HEAD)
    yield Part("Ready", "ready", 60, ("benchmarks.ready", "--model", large, "--device", device, "--repeats", "1"))
    if not quick:
        yield speed(large, "ours", 150, COMPILE)
        yield speed(large, "transformers", 60)
        yield right("bfloat16", 60, COMPILE)
        yield speed(large, "official, vos_optimized", 240)


def _named(what: str, switches: tuple[str, ...]) -> str:
    return ", ".join((what, *switches))
