"""The command line: `python -m sam2_cog segment | evaluate | weights`, installed as `sam2-cog` too."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from sam2_cog import __version__
from sam2_cog.engine.checkpoints import CHECKPOINTS, fetch_checkpoint, verify_checkpoint
from sam2_cog.engine.model import load_model
from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.evaluate import command as evaluation
from sam2_cog.evaluate.whole_product import product_of
from sam2_cog.outputs import suffix_of
from sam2_cog.pipeline import segment_video
from sam2_cog.progress import Progress
from sam2_cog.request import Request, option

REFUSED = 2
FAILED = 1

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
    """Run a command; returns the exit code: 0 done, 2 refused, 1 failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (InvalidRequest, UnreadableVideo) as error:
        print(f"sam2-cog: {error}", file=sys.stderr)
        return REFUSED
    except (CheckpointError, OSError) as error:
        print(f"sam2-cog: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("sam2-cog: interrupted, nothing was written", file=sys.stderr)
        return FAILED
    return 0


def _segment(arguments: argparse.Namespace) -> None:
    request = Request(**{item.name: getattr(arguments, item.name) for item in fields(Request)})
    _check_output(request, arguments.output)
    with _bar() as progress:
        result = segment_video(request, lambda: load_model(arguments.model), arguments.output, progress)
    seconds = result.decode_seconds + result.network_seconds + result.paint_seconds + result.encode_seconds
    print(
        f"{result.path}: {result.frames} frames, {result.objects} objects, {seconds:.1f} s "
        f"(decode {result.decode_seconds:.1f}, network {result.network_seconds:.1f}, "
        f"paint {result.paint_seconds:.1f}, encode {result.encode_seconds:.1f})"
    )


def _check_output(request: Request, path: Path) -> None:
    suffix = suffix_of(request)
    if path.suffix.lower() != suffix:
        raise InvalidRequest(f"output: {path.name!r} does not end in {suffix}, which {request.output_format} needs")
    if path.exists() and request.video.exists() and path.samefile(request.video):
        raise InvalidRequest(f"output: {path.name!r} is the video itself, it must be another file")
    if not path.absolute().parent.is_dir():
        raise InvalidRequest(f"output: the folder {str(path.parent)!r} does not exist")


@contextmanager
def _bar() -> Iterator[Progress | None]:
    """A bar on a terminal; elsewhere None, which means log lines."""
    if not sys.stderr.isatty():
        yield None
        return
    with tqdm(unit="frame", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _fetch(arguments: argparse.Namespace) -> None:
    print(fetch_checkpoint(arguments.name))


def _verify(arguments: argparse.Namespace) -> None:
    print(f"{verify_checkpoint(arguments.name)}: as published")


def _evaluate(arguments: argparse.Namespace) -> None:
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
    _add_weights(commands)
    return parser


def _add_segment(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "segment",
        help="find the clicked objects in a video",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for item in fields(Request):
        limits = option(item.name)
        if item.name == "video":
            parser.add_argument("video", metavar="VIDEO", type=Path, help=limits.description)
            continue
        if isinstance(item.default, bool):
            parser.add_argument("--" + item.name.replace("_", "-"), action="store_true", help=limits.description)
            continue
        default = "" if item.default is None else f" (default: {item.default!r})"
        parser.add_argument(
            "--" + item.name.replace("_", "-"),
            default=item.default,
            type=str if limits.choices else Path if item.default is None else item.type,
            choices=limits.choices or None,
            metavar=None if limits.choices else _METAVARS.get(type(item.default), "N"),
            help=limits.description.replace("%", "%%") + default,
        )
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="where the result goes")
    _add_model(parser)
    parser.set_defaults(run=_segment)


def _add_evaluate(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure J and F on labelled clips",
        description=evaluation.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluation.add_arguments(parser)
    _add_model(parser)
    parser.set_defaults(run=_evaluate)


def _add_weights(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("weights", help="fetch or check a checkpoint")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, text in (
        ("fetch", _fetch, "fetch a checkpoint unless it is there already, and check it"),
        ("verify", _verify, "check the size and the SHA-256 of a checkpoint"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("name", metavar="NAME", choices=list(CHECKPOINTS), help=", ".join(CHECKPOINTS))
        action.set_defaults(run=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    text = f"{', '.join(CHECKPOINTS)} (default: the environment variable SAM2_MODEL, else large)"
    parser.add_argument("--model", choices=list(CHECKPOINTS), metavar="NAME", help=text)


if __name__ == "__main__":
    sys.exit(main())
