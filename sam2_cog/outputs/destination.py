"""Where a result may be written, and how its name must end."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sam2_cog.errors import InvalidRequest
from sam2_cog.media.video import VideoInfo
from sam2_cog.outputs import REPORTS, STANDARD_OUTPUT, suffix_of, suffix_of_picture
from sam2_cog.outputs.archive import EXACT
from sam2_cog.outputs.shots import ShotsOutput
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.request import FILES, LONGEST_NAME, LONGEST_PATH, Request, can_be_a_name


def check_output(request: Request, path: Path, further: Sequence[Path] = ()) -> None:
    """Raise InvalidRequest, naming the reason, if what is asked for cannot or must not be written to `path`.

    further: videos that follow the request's own as further shots.
    """
    if further:
        check_zip_of_shots(path)
        _check_place("output", request, path, further)
        return
    if path == STANDARD_OUTPUT:
        if request.output_format != "jsonl":
            reason = f"output_format must be jsonl for that, not {request.output_format}"
            raise InvalidRequest(f"output: '-' is the standard output, and {reason}")
        return
    suffix, picture = suffix_of(request), suffix_of_picture(request)
    if path.suffix.lower() not in (suffix, picture or suffix) and not _may_be_shots(request, path):
        raise _wrong_suffix(request, path)
    _check_place("output", request, path)


def _may_be_shots(request: Request, path: Path) -> bool:
    """Whether what is asked for may be a zip of the results of several shots, as far as names tell."""
    return path.suffix.lower() == ".zip" and (request.video.suffix.lower() == ".zip" or request.video.is_dir())


def check_zip_of_shots(path: Path) -> None:
    """Raise InvalidRequest if the results of several shots cannot be written to `path`."""
    if path.suffix.lower() != ShotsOutput.suffix:
        raise InvalidRequest(f"output: {path.name[:80]!r} does not end in .zip, which several shots need")


def _wrong_suffix(request: Request, path: Path) -> InvalidRequest:
    suffix, picture = suffix_of(request), suffix_of_picture(request)
    apart = request.separate_objects and suffix == ".zip"
    reason = "separate_objects" if apart else request.output_format
    of_one = f", or of one image in {picture}" if picture else ""
    return InvalidRequest(f"output: {path.name[:80]!r} does not end in {suffix}, which {reason} needs{of_one}")


def is_one_picture(info: VideoInfo) -> bool:
    """Whether a clip is a single image, and no animation, stack or zip."""
    return info.container == "image" and info.frame_count == 1


def suffix_for(request: Request, info: VideoInfo, objects: Sequence[ObjectPrompts]) -> str:
    """How the name of the result ends: that of a picture where the input is one image and one file is enough."""
    apart = request.mask_type in EXACT and len(objects) > 1
    return (
        suffix_of_picture(request)
        if is_one_picture(info) and not apart and suffix_of_picture(request)
        else suffix_of(request)
    )


def check_picture(request: Request, info: VideoInfo, objects: Sequence[ObjectPrompts], path: Path) -> None:
    """Raise InvalidRequest if one picture is to be written, which `check_output` allows, of what needs several."""
    suffix = path.suffix.lower()
    if path == STANDARD_OUTPUT or suffix in (suffix_of(request), suffix_for(request, info, objects)):
        return
    if suffix == ".zip":
        raise _wrong_suffix(request, path)
    found = f"{request.mask_type} has a picture for each of the {len(objects)} objects"
    if not is_one_picture(info):
        found = f"{info.path.name[:80]} is not one image"
    raise InvalidRequest(f"output: {path.name[:80]!r} is one picture, but {found}, so it must end in .zip")


def check_report(request: Request, output: Path, path: Path) -> None:
    """Raise InvalidRequest if no report of this request can be written to `path`, beside its `output`."""
    if path.suffix.lower() not in REPORTS:
        raise InvalidRequest(f"report: {path.name[:80]!r} does not end in {' or '.join(REPORTS)}")
    if path.absolute() == output.absolute():
        raise InvalidRequest(f"report: {path.name[:80]!r} is the output itself, it must be another file")
    _check_place("report", request, path)


def _check_place(what: str, request: Request, path: Path, further: Sequence[Path] = ()) -> None:
    """Raise InvalidRequest if no file can be made there, or it would take the place of an input."""
    name, folder = path.name, path.absolute().parent
    if not can_be_a_name(path):
        raise InvalidRequest(f"{what}: {name[:40]!r} holds a character that no file's name can have")
    whole = os.fsencode(path.absolute())
    if len(whole) >= LONGEST_PATH or max(map(len, whole.split(b"/"))) > LONGEST_NAME:
        allowed = f"a name has at most {LONGEST_NAME} bytes, a path {LONGEST_PATH - 1}"
        raise InvalidRequest(f"{what}: {name[:40]!r}... cannot be a path: {allowed}")
    if not folder.is_dir():
        raise InvalidRequest(f"{what}: the folder {str(path.parent)!r} does not exist")
    if path.is_dir():
        raise InvalidRequest(f"{what}: {name!r} is a folder, but it must be a file")
    sources = [(given, getattr(request, given)) for given in FILES] + [("video", video) for video in further]
    for given, source in sources:
        if source and path.exists() and source.exists() and path.samefile(source):
            raise InvalidRequest(f"{what}: {name!r} is the {given} itself, it must be another file")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = f"nothing can be written to the folder {str(path.parent)!r}: {error.strerror}"
        raise InvalidRequest(f"{what}: {reason}") from error
