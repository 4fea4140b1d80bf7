"""`python -m sam2_cog evaluate`: its flags, and what it prints."""

import argparse
from pathlib import Path

from sam2_cog.evaluate.datasets import labelled_clips
from sam2_cog.evaluate.report import HEADER, mask_writer, table_line, write_json
from sam2_cog.evaluate.scoring import MASK, PROMPT_KINDS, ObjectScore, Predict, Summary, evaluate_clip, summarise

DESCRIPTION = """\
Measure J (region), F (boundary) and their mean as DAVIS defines them, over labelled clips: every object is prompted
on the frame on which it is first seen, and the product does the rest, from file to archive.

DATASET is a folder of NAME/clip.mp4 with NAME/masks.zip (or NAME.mp4 with NAME_masks.zip), or DAVIS, MOSE or SA-V as
published: a folder with JPEGImages* and Annotations*.

prompts: click (one, in the middle), clicks (three, spread out), box (the tightest), mask (the true mask: the official
semi-supervised protocol, tracked forward only).
scored frames: "all" labelled ones, or "inner": from the frame on which the object is first seen, without the first and
the last labelled frame, as DAVIS, SA-V and MOSE do. Default: inner for mask, else all.

SAM 2.1 large is published with J&F 79.5 on SA-V test and 74.6 on MOSE val (--prompt mask --model large). The true masks
of MOSE val are not public: write yours with --save-masks and hand them in to its evaluation server.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command, save `--model`, which is everybody's."""
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder of labelled clips")
    parser.add_argument("--prompt", choices=PROMPT_KINDS, default="click", help="what is simulated (default: click)")
    parser.add_argument("--clips", default="", help="names with commas, or a text file with one a line (default: all)")
    parser.add_argument("--frames", choices=("all", "inner"), help="which labelled frames count (default: see above)")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="also write all scores, per object, as JSON")
    parser.add_argument("--save-masks", type=Path, metavar="FOLDER", help="also write what was predicted, as images")


def run(arguments: argparse.Namespace, predict: Predict) -> Summary:
    """Measure, print a line per clip as it is done and one for all, and return that one.

    Raises:
        InvalidRequest: something about the data set cannot be used.
    """
    all_frames = (arguments.frames or ("inner" if arguments.prompt == MASK else "all")) == "all"
    watch = mask_writer(arguments.save_masks) if arguments.save_masks else None
    scores: list[ObjectScore] = []
    print(HEADER, flush=True)
    for clip in labelled_clips(arguments.dataset, clip_names(arguments.clips)):
        own = evaluate_clip(clip, arguments.prompt, predict, all_frames=all_frames, watch=watch)
        print(table_line(summarise(clip.name, own)), flush=True)
        scores += own
    overall = summarise("overall", scores)
    print(table_line(overall), flush=True)
    if arguments.output:
        setting = {
            "dataset": arguments.dataset.name,
            "model": arguments.model,
            "prompt": arguments.prompt,
            "frames": "all" if all_frames else "inner",
        }
        write_json(arguments.output, setting, scores)
    return overall


def clip_names(text: str) -> tuple[str, ...]:
    """The clips that `--clips` asks for: those named, or the lines of the file; none means all."""
    listed = Path(text).read_text().split() if text and Path(text).is_file() else text.split(",")
    return tuple(name.strip() for name in listed if name.strip())
