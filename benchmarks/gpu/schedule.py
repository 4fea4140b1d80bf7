"""What `benchmarks.gpu` does, in the order of its importance, and how long each part may take at most."""

from collections.abc import Iterator
from dataclasses import dataclass

SPEED_HEAD = (
    "| network | video | objects | tracker | ms a frame | frames/s | share of the limit on paper | GPU MiB |",
    "|---|---|---|---|---|---|---|---|",
)
RIGHT_HEAD = ("| what | compared | found |", "|---|---|---|")
HOST_HEAD = ("| 1080p, 1 object | frames/s | seconds of |", "|---|---|---|")


@dataclass(frozen=True)
class Part:
    """A module with its arguments; it is told `--seconds` and prints lines of Markdown."""

    title: str
    name: str
    seconds: float
    command: tuple[str, ...]
    head: tuple[str, ...] = ()


def parts(device: str, *, quick: bool) -> Iterator[Part]:
    """All parts; quick: the same ones with the demo network, without what only a GPU has."""
    small, large = ("demo", "demo") if quick else ("tiny", "large")
    common = ("--device", device, *(("--quick",) if quick else ()))

    for what, seconds in (("float32", 75), ("bfloat16", 60), ("operations", 30)):
        yield Part("Right?", what, seconds, ("benchmarks.gpu.right", what, *common), RIGHT_HEAD)

    def speed(network: str, tracker: str, seconds: float) -> Part:
        command = ("benchmarks.gpu.speed", network, tracker, *common)
        return Part("How fast?", f"{network}, {tracker}", seconds, command, SPEED_HEAD)

    yield speed(large, "ours", 70)
    yield speed(large, "official", 60)
    if not quick:
        yield speed(small, "ours", 40)
        yield speed(small, "official", 40)
    yield Part("Where does the time go?", "profile", 40, ("benchmarks.gpu.where", large, *common))
    yield Part("The host path", "host path", 45, ("benchmarks.gpu.host", large, *common), HOST_HEAD)
    yield Part("Ready", "ready", 60, ("benchmarks.ready", "--model", large, "--device", device, "--repeats", "1"))
    if not quick:
        yield speed(large, "transformers", 60)
        yield speed(large, "official, vos_optimized", 240)
