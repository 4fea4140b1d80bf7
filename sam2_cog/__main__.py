"""The command line: `python -m sam2_cog COMMAND`, installed as `sam2-cog` too.

What takes long to import is imported where it is used: so an interrupt while the program still starts ends in a
sentence as a later one does.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sam2_cog import __version__
from sam2_cog.errors import CheckpointError, InvalidRequest, ReaderGone, UnreadableVideo

if TYPE_CHECKING:
    from sam2_cog.pipeline import Result
    from sam2_cog.progress import Progress
    from sam2_cog.request import Option

REFUSED = 2
FAILED = 1
INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT

_METAVARS = {str: "TEXT", type(None): "FILE"}

EXAMPLE = """\
example: one click on each of two birds on the first frame, the result as a video
  sam2-cog segment samples/two_birds.mp4 --model demo \\
    --click-coordinates "[80,222],[556,96]" --click-object-ids "bird_1,bird_2" --output birds.mp4
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the list of all flags."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"sam2-cog: {message}; '{self.prog} --help' lists what is allowed\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 refused, 1 failed, 130 interrupted."""
    try:
        _unwind_on_signals()
        return _run(arguments)
    except (InvalidRequest, UnreadableVideo) as error:
        print(f"sam2-cog: {error}", file=sys.stderr)
        return REFUSED
    except (CheckpointError, OSError) as error:
        print(f"sam2-cog: {_reason(error)}", file=sys.stderr)
        return FAILED
    except ReaderGone:  # as in `sam2-cog ... --output - | head -1`
        return FAILED
    except KeyboardInterrupt as interrupt:
        print(f"sam2-cog: interrupted, {str(interrupt) or 'no result was written'}", file=sys.stderr)
        return INTERRUPTED


def _reason(error: Exception) -> str:
    """The error's own sentence; of what the system refuses, its words and the file, without the error's number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{Path(error.filename).name}: {error.strerror}" if isinstance(error.filename, str) else error.strerror


def _unwind_on_signals() -> None:
    """Being told to stop, or losing the terminal, ends the program as Ctrl-C does: it takes away what it has begun."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # under nohup it is ignored, and stays so
            signal.signal(number, signal.default_int_handler)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back what ends the program: a library that is just being imported may swallow the interrupt."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(arguments: Sequence[str] | None) -> int:
    import logging

    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("sam2_cog").setLevel(logging.INFO)
    with _signals_wait():
        parser = _parser()
    parsed = parser.parse_args(arguments)
    return parsed.run(parsed) or 0


def _segment(arguments: argparse.Namespace) -> None:
    from sam2_cog.request import FILES, Request, checked_path

    inputs = {item.name: getattr(arguments, item.name) for item in fields(Request)}
    files = {name: _local_path(name, inputs[name]) for name in FILES if inputs[name]}
    request = Request(**inputs | files)
    further = [checked_path("video", path and _local_path("video", path)) for path in arguments.further]
    output = _local_path("output", arguments.output)
    report = None if arguments.report is None else _local_path("report", arguments.report)

    with _signals_wait():
        from sam2_cog.engine.model import load_model
        from sam2_cog.outputs.part_file import remove_dead_parts
        from sam2_cog.pipeline import segment_video

    remove_dead_parts(output.parent)
    with _bar() as progress:
        result = segment_video(
            request,
            lambda: load_model(arguments.model),
            output,
            progress,
            report=report,
            checkpoint=arguments.checkpoint,
            further=further,
        )
    for line in _told(result):
        print(line, file=sys.stderr if arguments.output == "-" else sys.stdout)  # there are the results


def _local_path(name: str, text: str) -> Path:
    """The file that is meant by what was typed: a path, also with `~`, or a `file://` address.

    Raises InvalidRequest for the address of anything else.
    """
    from sam2_cog.request import FILES

    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() == "file":
        from urllib.parse import unquote

        return Path(unquote(rest.removeprefix("localhost")))
    if (separator and scheme.isalnum()) or text.startswith("data:"):
        way = "fetch it first, for example with 'curl -LO ADDRESS'" if name in FILES else "copy the result there"
        raise InvalidRequest(f"{name}: {text[:80]!r} is an address, but the command line takes files; {way}")
    return Path(os.path.expanduser(text))


@contextmanager
def _bar() -> "Iterator[Progress | None]":
    """A bar on a terminal; elsewhere None, which means log lines."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="frame", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _told(result: "Result") -> Iterator[str]:
    """What is said at the end."""
    yield (
        f"{result.path}: {result.frames} frames, {result.objects} objects, {result.seconds:.1f} s "
        f"(decode {result.decode_seconds:.1f}, network {result.network_seconds:.1f}; "
        f"beside them paint {result.paint_seconds:.1f}, encode {result.encode_seconds:.1f})"
    )
    yield from result.notes


def _fetch(arguments: argparse.Namespace) -> None:
    from sam2_cog.engine.checkpoints import fetch_checkpoint

    print(fetch_checkpoint(arguments.name))


def _verify(arguments: argparse.Namespace) -> None:
    from sam2_cog.engine.checkpoints import verify_checkpoint

    print(f"{verify_checkpoint(arguments.name)}: as published")


def _evaluate(arguments: argparse.Namespace) -> None:
    from sam2_cog.engine.model import load_model
    from sam2_cog.evaluate import command as evaluation
    from sam2_cog.evaluate.whole_product import product_of

    evaluation.run(arguments, product_of(load_model(arguments.model)))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sam2-cog",
        description="Click on things in a video, get exact masks of them on every frame (SAM 2.1).",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_segment(commands)
    _add_evaluate(commands)
    _add_ui(commands)
    _add_weights(commands)
    _add_fleet(commands)
    _add_doors(commands)
    return parser


def _add_segment(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog.request import Request, option

    parser = commands.add_parser(
        "segment",
        help="find the clicked objects in a video",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for item in fields(Request):
        if item.name != "video":
            _add_input(parser, item, option(item.name))
    parser.add_argument("video", metavar="VIDEO", help=option("video").description)
    parser.add_argument(
        "further", metavar="VIDEO", nargs="*", default=[], help="further videos: together they are shots, in this order"
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="where the result goes; - is the standard output, for jsonl"
    )
    parser.add_argument(
        "--report", metavar="FILE", help="a .json or .csv with what was found on each frame, written beside the result"
    )
    _add_checkpoint(parser)
    _add_model(parser)
    parser.set_defaults(run=_segment)


def _add_input(parser: argparse.ArgumentParser, item: "Field[Any]", limits: "Option") -> None:
    """The flag of an input, with its default, choices and type."""
    flag, text = "--" + item.name.replace("_", "-"), limits.description.replace("%", "%%")
    if isinstance(item.default, bool):
        parser.add_argument(flag, action="store_true", help=text)
        return
    parser.add_argument(
        flag,
        default=item.default,
        type=str if limits.choices or item.default is None else item.type,
        choices=limits.choices or None,
        metavar=None if limits.choices else _METAVARS.get(type(item.default), "N"),
        help=text if item.default is None else f"{text} (default: {item.default!r})",
    )


def _add_described(commands: "argparse._SubParsersAction[_Parser]", name: str, text: str, description: str) -> _Parser:
    """A command whose description keeps its lines."""
    formatter = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(name, help=text, description=description, formatter_class=formatter)


def _add_evaluate(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog.evaluate import command as evaluation

    parser = _add_described(commands, "evaluate", "measure J and F on labelled clips", evaluation.DESCRIPTION)
    evaluation.add_arguments(parser)
    _add_model(parser)
    parser.set_defaults(run=_evaluate)


def _add_ui(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog.page import command as page

    parser = _add_described(commands, "ui", "a page to click in", page.DESCRIPTION)
    page.add_arguments(parser)
    _add_model(parser)
    parser.set_defaults(run=page.run)


def _add_weights(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog.engine.checkpoints import CHECKPOINTS

    parser = commands.add_parser("weights", help="fetch or check a checkpoint")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, text in (
        ("fetch", _fetch, "fetch a checkpoint unless it is there already, and check it"),
        ("verify", _verify, "check the size and the SHA-256 of a checkpoint"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("name", metavar="NAME", choices=list(CHECKPOINTS), help=", ".join(CHECKPOINTS))
        action.set_defaults(run=run)


def _add_fleet(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog.fleet import command as fleet

    batch = _add_described(commands, "batch", "carry out a manifest of many requests", fleet.DESCRIPTION)
    fleet.add_batch_arguments(batch)
    _add_checkpoint(batch)
    _add_model(batch)
    batch.set_defaults(run=fleet.run)
    cost = commands.add_parser("estimate", help="say what a manifest would cost, from headers alone")
    fleet.add_estimate_arguments(cost)
    cost.set_defaults(run=fleet.run_estimate)


def _add_doors(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from sam2_cog import doors

    for name in doors.COMMANDS:
        text = doors.DOORS[name].help
        parser = commands.add_parser(name, help=text, description=text)
        doors.add_arguments(parser, name)
        _add_model(parser)
        parser.set_defaults(run=partial(_serve, name))


def _serve(name: str, arguments: argparse.Namespace) -> None:
    from sam2_cog import doors

    doors.run(name, arguments.host, arguments.port, arguments.others, arguments.model)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    text = (
        "every so many seconds write beside the result what is needed to go on from there; after a kill the same "
        "command does, and the result is the same file"
    )
    parser.add_argument("--checkpoint", type=float, metavar="SECONDS", help=text)


def _add_model(parser: argparse.ArgumentParser) -> None:
    from sam2_cog.engine.checkpoints import CHECKPOINTS

    text = f"{', '.join(CHECKPOINTS)} (default: the environment variable SAM2_MODEL, else large)"
    parser.add_argument("--model", choices=list(CHECKPOINTS), metavar="NAME", help=text)


if __name__ == "__main__":
    sys.exit(main())
