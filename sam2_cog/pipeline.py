"""The whole way from a request to a file: the only place where the stages meet."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from sam2_cog.engine.host_memory import give_back_freed_memory
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.limits import Deadline
from sam2_cog.masks import FrameMasks
from sam2_cog.media.footage import Footage
from sam2_cog.media.frame_archive import HoldsVideos, UnlikeImages
from sam2_cog.media.image_set import ImageSet, probe_image_set
from sam2_cog.media.shots import Shots, opened_shots
from sam2_cog.media.video import BrokenPromise, Frame, VideoInfo, part_of, probe
from sam2_cog.outputs import REPORTS, STANDARD_OUTPUT, Output, OutputSpec, output_for, suffix_of
from sam2_cog.outputs.destination import check_output, check_picture, check_report, check_zip_of_shots, suffix_for
from sam2_cog.outputs.facts import look_first
from sam2_cog.outputs.image_set import ImageSetOutput
from sam2_cog.outputs.shots import ShotsOutput
from sam2_cog.overlap import WriteBehind
from sam2_cog.progress import LogProgress, Progress
from sam2_cog.prompts import ObjectPrompts, counted_anew, prompt_frames
from sam2_cog.request import Request
from sam2_cog.runs.objects import objects_of
from sam2_cog.runs.resume import check_checkpoint, open_checkpoint
from sam2_cog.runs.separate_images import asked_on, kind_for_images, masks_of_images, objects_of_images
from sam2_cog.runs.shots import objects_of_shots
from sam2_cog.runs.watched_clip import WatchedClip, WatchedShots, frames_between_stages, frames_to_read

logger = logging.getLogger(__name__)

MOST_NAMES_LOGGED = 20
HOLDS_SHOTS, HOLDS_IMAGES = "holds several shots", "holds images of different sizes"

Find = Callable[[Sequence[ObjectPrompts]], Callable[[int], FrameMasks] | None]
"""Finds what is missing of objects, and returns what gives the masks of a frame, or None where it cannot."""


@dataclass(frozen=True)
class Result:
    """A finished file, and what it took.

    `seconds` is the whole but for the loading of the model. decode is the wait for the decoder, network what is left of
    the whole without the waits for decoder and writer; painting and encoding go on beside the network, and theirs are
    the seconds of their own thread.
    """

    path: Path
    frames: int
    objects: int
    seconds: float
    decode_seconds: float
    network_seconds: float
    paint_seconds: float
    encode_seconds: float
    notes: tuple[str, ...] = ()
    """What a user should know of the result, as sentences: what was lost on the way, objects that were hardly found."""

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: value for name, value in vars(self).items() if name not in ("path", "notes")}


@dataclass(frozen=True)
class _Run:
    """What one run is asked for and given, whatever its video turns out to be; see `segment_video`."""

    request: Request
    load: Callable[[], LoadedModel]
    place: Path | Callable[[str], Path]
    progress: Progress
    report: Path | None = None
    checkpoint: float | None = None
    further: Sequence[Path] = ()
    find: Find | None = None
    """What finds the masks instead of a tracker of this run's own, if it can."""

    def path(self, suffix: str) -> Path:
        """Where the result goes, whose name ends so if it was not chosen; raises InvalidRequest as `checked` does."""
        return self.place if isinstance(self.place, Path) else self.checked(self.place(suffix))

    def checked(self, path: Path) -> Path:
        """The path; raises InvalidRequest if the result, or what is written beside it, cannot be written."""
        check_output(self.request, path, self.further)
        if self.report is not None:
            check_report(self.request, path, self.report)
        if self.checkpoint is not None:
            check_checkpoint(self.checkpoint, path)
        return path


def segment_video(
    request: Request,
    model: LoadedModel | Callable[[], LoadedModel],
    path: Path | str | Callable[[str], Path],
    progress: Progress | None = None,
    *,
    info: VideoInfo | None = None,
    report: Path | None = None,
    checkpoint: float | None = None,
    further: Sequence[Path] = (),
) -> Result:
    """Find the clicked objects in every frame of a video and write what was asked for to `path`.

    Where a video turns out not to have the frames that its packets promise, its frames are counted one by one, and all
    begins anew.

    model: a loaded one, or what loads it; that is called when the request has turned out to fit the video.
    path: where the file goes, or what says so when it is called with the suffix that the result has (`suffix_for`). It
        appears when it is complete, and nothing is left of it after an error or a cancel.
        "-" is the standard output, for `jsonl` alone: each line is written when its frame is tracked.
    progress: told after each frame; without it a log line is written about once a second.
    info: what `probe` said of the request's video, where that was asked before.
    report: a `.json` (the manifest) or a `.csv` (a row per frame and object) to be written beside the result.
    checkpoint: seconds between two states that are written beside the result; after an error or the end of the process
        the same call goes on from the last one, to the same file, byte for byte.
    further: videos that follow the request's own: together they are the shots of one clip, in this order.

    Raises:
        UnreadableVideo: the video cannot be decoded.
        InvalidRequest: the request does not fit the video, or a path the request, known before the network runs; or its
            time is over; or another process holds its checkpoint.
        OSError: the file cannot be written.
        ReaderGone: nobody reads the standard output any more.
    """
    place = path if callable(path) else Path(path)
    load = cache(lambda: model if isinstance(model, LoadedModel) else model())
    run = _Run(request, load, place, progress or LogProgress(), report, checkpoint, further)
    begin = time.perf_counter()
    if isinstance(place, Path):
        run.checked(place)
    try:
        return _segment_shots(run) if further else _segment(run, info)
    except BrokenPromise as broken:
        logger.warning("%s: this is done now", broken)
        return replace(_segment(run), seconds=time.perf_counter() - begin)
    except UnlikeImages:
        return _segment_images(run, probe_image_set(request.video))
    except HoldsVideos:
        return _segment_shots(run)
    finally:
        give_back_freed_memory()


def segment_opened(
    request: Request, parts: Shots | ImageSet, model: LoadedModel, path: Path, progress: Progress, find: Find
) -> Result:
    """`segment_video` for what is open; `find` gives the masks, with logits if they are wanted."""
    run = _Run(request, lambda: model, path, progress, find=find)
    run.checked(path)
    return _segment_shots(run, parts) if isinstance(parts, Shots) else _segment_images(run, parts)


def _segment(run: _Run, info: VideoInfo | None = None) -> Result:
    """`segment_video` of one clip; `info` is what `probe` said of it, where that was asked before."""
    request, begin, deadline = run.request, time.perf_counter(), Deadline()
    # what has been written to the standard output cannot be begun anew
    certain = run.place == STANDARD_OUTPUT
    whole = info or probe(request.video, request.frame_rate, certain=certain, used=request.part)
    info = part_of(whole, request.frames_of(whole.frame_count))
    objects = objects_of(request, info)
    placed = counted_anew(objects, info.numbers)
    path = run.path(suffix_for(request, info, objects))
    check_picture(request, info, objects, path)
    logger.info("%s: %s, %dx%d, %d objects", info.path.name, _extent(info), info.width, info.height, len(objects))
    probe_seconds = time.perf_counter() - begin
    loaded = run.load()
    spec = output_spec(request, info, objects, loaded.name, path)
    with open_checkpoint(run.checkpoint, path, request, loaded, info) if run.checkpoint else nullcontext() as saved:
        step = saved.state.step if saved and saved.state else 0
        clip = WatchedClip(info, frames_to_read(request, info.frame_count, placed, step), run.progress, deadline)
        tracked = Tracker(loaded).track(clip, placed, request.propagation, soft=request.wants_logits, checkpoint=saved)
        result = write_result(request, spec, clip, tracked, run.report)
    return replace(result, seconds=probe_seconds + result.seconds, decode_seconds=probe_seconds + result.decode_seconds)


def _segment_images(run: _Run, images: ImageSet) -> Result:
    """`segment_video` of images of different sizes, of which none follows from another."""
    _refuse_beside(run, f"{images.path.name} {HOLDS_IMAGES}")
    request, begin, deadline = run.request, time.perf_counter(), Deadline()
    kind = kind_for_images(request, images)
    largest = max(images.images, key=lambda info: info.width * info.height)
    objects = objects_of_images(request, images)
    path = run.path(suffix_of(request))
    check_picture(request, largest, objects, path)
    asked = asked_on(objects)
    found = f"{images.path.name} {HOLDS_IMAGES}, which are taken each for itself"
    left_out = len(images.names) - len(asked)
    logger.info(
        "%s: %s; %d objects on %d of %d", found, _numbers(images.names), len(objects), len(asked), len(images.names)
    )
    known = run.find(objects) if run.find else None
    probe_seconds = time.perf_counter() - begin
    loaded = run.load()
    output = ImageSetOutput(output_spec(request, largest, objects, loaded.name, path), kind, images, asked)
    clip = WatchedClip(largest, len(asked), run.progress, deadline)
    with closing(clip.watch(images.read(asked))) as frames:
        tracked = (
            _with_masks(frames, known)
            if known
            else masks_of_images(loaded, Footage.of(images), frames, objects, soft=request.wants_logits)
        )
        result = write_result(request, output.spec, clip, tracked, output=output)
    without = [f"{left_out} of {len(images.names)} images have no click and are left out"] if left_out else []
    return replace(
        result, frames=len(asked), seconds=probe_seconds + result.seconds, notes=(found, *without, *result.notes)
    )


def _segment_shots(run: _Run, opened: Shots | None = None) -> Result:
    """`segment_video` of several videos, which are tracked as one clip and written each for itself.

    opened: these videos, where they are open already.
    """
    request, further = run.request, run.further
    found = f"{1 + len(further)} videos are several shots" if further else f"{request.video.name} {HOLDS_SHOTS}"
    _refuse_beside(run, found)
    path = run.path(ShotsOutput.suffix)
    check_zip_of_shots(path)
    with nullcontext(opened) if opened else opened_shots(request.video, *further) as shots:
        return _write_shots(run, path, shots)


def _write_shots(run: _Run, path: Path, shots: Shots) -> Result:
    request, begin, deadline = run.request, time.perf_counter(), Deadline()
    objects = objects_of_shots(request, shots)
    names = _numbers([f"{info.path.name} ({info.frame_count} frames)" for info in shots.videos])
    logger.info("%s: %d shots: %s; %d objects", shots.name, len(shots.videos), names, len(objects))
    known = run.find(objects) if run.find else None
    probe_seconds = time.perf_counter() - begin
    loaded = run.load()
    spec = output_spec(request, shots.largest, objects, loaded.name, path)
    output = ShotsOutput(spec, shots, partial(output_for, request.output_format), suffix_of(request))
    frames = shots.frame_count if known else frames_to_read(request, shots.frame_count, objects)
    clip = WatchedShots(shots, frames, run.progress, deadline)
    tracked = (
        _with_masks(clip.read(), known)
        if known
        else Tracker(loaded).track(clip, objects, request.propagation, soft=request.wants_logits)
    )
    result = write_result(request, spec, clip, tracked, output=output)
    notes = result.notes[len(spec.video.notes) :]  # the output tells those of each shot by its name
    return replace(result, frames=shots.frame_count, seconds=probe_seconds + result.seconds, notes=notes)


def _refuse_beside(run: _Run, found: str) -> None:
    """Raise InvalidRequest for what is made of one clip alone: a part of it, and what is written beside its result."""
    for part in ("start_frame", "end_frame", "frame_stride"):
        if (value := getattr(run.request, part)) != Request.__dataclass_fields__[part].default:
            raise InvalidRequest(f"{part}: {value} is of a part of one clip, but {found}")
    for name, given in (("report", run.report), ("checkpoint", run.checkpoint)):
        if given is not None:
            raise InvalidRequest(f"{name}: there is none beside several results, and {found}")


def _with_masks(
    frames: Generator[Frame, None, None], known: Callable[[int], FrameMasks]
) -> Generator[tuple[Frame, FrameMasks], None, None]:
    with closing(frames):
        for frame in frames:
            yield frame, known(frame.index)


def _numbers(names: Sequence[str]) -> str:
    """The images that a person may look for, each with its number."""
    shown = [f"{number} is {name}" for number, name in enumerate(names[:MOST_NAMES_LOGGED])]
    return ", ".join([*shown, "..."] if len(names) > len(shown) else shown)


def write_result(
    request: Request,
    spec: OutputSpec,
    clip: WatchedClip,
    tracked: Generator[tuple[Frame, FrameMasks], None, None],
    report: Path | None = None,
    output: Output | None = None,
) -> Result:
    """Write the file that was asked for; what is neither decoding nor writing counts as the network's time.

    tracked: the frames in order, read from `clip`, with the masks of the objects of `spec`; closed in the end. Frames
        of a part of a clip, which are counted anew, get their numbers in the whole one here.
    output: what writes them, not yet open; without it that of the request's format.
    """
    begin = time.perf_counter()
    waited = 0.0
    output = output or output_for(request.output_format, spec)
    outputs = [output] if report is None else [output, REPORTS[report.suffix.lower()](replace(spec, path=report))]
    with ExitStack() as open_files:
        for one in outputs:
            open_files.enter_context(one)
        with _behind(outputs, frames_between_stages(spec.video)) as write, closing(tracked):
            for frame, masks in tracked:
                handed_over = time.perf_counter()
                write(_as_written(frame, masks.without_parts_below(request.smallest_part), spec.video.part))
                waited += time.perf_counter() - handed_over
                clip.count_frame()
            network = time.perf_counter() - begin - clip.seconds - waited
        for one in outputs[1:]:
            one.notes += output.notes
    painting, encoding = (sum(vars(one)[name] for one in outputs) for name in ("paint_seconds", "encode_seconds"))
    doubts = look_first(output.watch.worst)
    notes = (*spec.video.notes, *output.notes, *([doubts] if doubts else []))
    counts, whole = (spec.video.frame_count, len(spec.names)), time.perf_counter() - begin
    return Result(spec.path, *counts, whole, clip.seconds, network, painting, encoding, notes)


def _as_written(frame: Frame, masks: FrameMasks, part: range | None) -> tuple[Frame, FrameMasks]:
    """With the number that the frame has in the whole clip, if it was counted anew in a part of one."""
    if part is None:
        return frame, masks
    return replace(frame, index=part[frame.index]), replace(masks, frame_index=part[frame.index])


@contextmanager
def _behind(outputs: Sequence[Output], depth: int) -> Iterator[Callable[[tuple[Frame, FrameMasks]], None]]:
    """How frames are handed to outputs: they paint and encode in a thread of their own, unless the depth is 0."""

    def write(item: tuple[Frame, FrameMasks]) -> None:
        for output in outputs:
            output.write(*item)

    if not depth:
        yield write
        return
    with WriteBehind(write, depth) as writer:
        yield writer.put


def _extent(info: VideoInfo) -> str:
    """How many frames are tracked, and which if not all."""
    if info.part is None:
        return f"{info.frame_count} frames"
    step = f" in steps of {info.part.step}" if info.part.step > 1 else ""
    return f"{info.frame_count} of {info.whole.frame_count} frames ({info.part[0]} to {info.part[-1]}{step})"


def output_spec(
    request: Request, info: VideoInfo, objects: Sequence[ObjectPrompts], model_name: str, path: Path
) -> OutputSpec:
    """What a request wants to be written of these objects."""
    return OutputSpec(
        path=path,
        video=info,
        names=tuple(target.name for target in objects),
        mask_type=request.mask_type,
        annotation_type=request.annotation_type,
        background=request.background,
        separate_objects=request.separate_objects,
        frame_images=request.frame_images,
        quality=request.output_quality,
        frame_interval=request.output_frame_interval,
        frame_rate=request.frame_rate,
        model=model_name,
        searched_from=prompt_frames(objects)[0] if request.propagation == "forward" else 0,
        inputs=request.inputs,
        prompts=tuple(objects),
    )
