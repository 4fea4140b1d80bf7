"""A zip with the result of each shot, `<shot>.<suffix>`: what the format would be of that video alone."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sam2_cog.masks import FrameMasks
from sam2_cog.media.shots import Shots
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts, look_first
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.part_file import folder_of
from sam2_cog.outputs.zip_file import ZipFileWriter
from sam2_cog.prompts import FramePrompt, ObjectPrompts


class ShotsOutput(Output):
    """See the module. Frames come numbered through; each shot's result is made in a folder beside, then gathered."""

    suffix = ".zip"

    def __init__(self, spec: OutputSpec, shots: Shots, make: Callable[[OutputSpec], Output], suffix: str) -> None:
        """spec.video: any of the shots. make: what writes one shot, to a path that ends in `suffix`."""
        super().__init__(spec)
        self._shots = shots
        self._make = make
        self._names = [name + suffix for name in safe_names([info.path.stem for info in shots.videos])]
        self._held = ExitStack()
        self._shot = -1
        self._output: Output | None = None

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Write a frame into the result of its shot, where it has the shot's own number."""
        shot, number = self._shots.place(frame.index)
        with self._writing():
            if shot != self._shot:
                self._gather()
                self._begin(shot)
            assert self._output is not None
            self._output.write(replace(frame, index=number), replace(masks, frame_index=number))
        self.frames_written += 1

    def _open(self, path: Path) -> None:
        self._folder = folder_of(path.absolute())
        self._folder.mkdir()
        self._held.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._zip = ZipFileWriter(path)
        self._held.callback(self._zip.stop)

    def _begin(self, shot: int) -> None:
        first, info = self._shots.starts[shot], self._shots.videos[shot]
        self._shot = shot
        self._output = self._make(
            replace(
                self.spec,
                path=self._folder / self._names[shot],
                video=info,
                searched_from=max(0, self.spec.searched_from - first),
                prompts=tuple(_within(one, first, info.frame_count) for one in self.spec.prompts),
            )
        )
        self._output.open()

    def _gather(self) -> None:
        """The result of the shot that is being written, if any, goes into the zip."""
        output, self._output = self._output, None
        if output is None:
            return
        try:
            output.close()
        finally:
            output.discard()
        self._zip.copy(output.spec.path.name, output.spec.path)
        output.spec.path.unlink()
        self.paint_seconds += output.paint_seconds
        self.encode_seconds -= output.paint_seconds
        doubts = look_first(output.watch.worst)
        told = [*output.spec.video.notes, *output.notes, *([doubts] if doubts else [])]
        self.notes += [f"{output.spec.video.path.name}: {note}" for note in told]

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        raise AssertionError("a shot's own output adds frames")

    def _hardly_found(self) -> list[str]:
        return []

    def _finish(self) -> None:
        self._gather()
        self._zip.finish()

    def _stop(self) -> None:
        if self._output is not None:
            self._output.discard()
        self._held.close()


def _within(one: ObjectPrompts, first: int, count: int) -> ObjectPrompts:
    """What an object is told in one shot, by the shot's own numbers."""

    def own(prompts: Sequence[FramePrompt]) -> tuple[FramePrompt, ...]:
        there = (prompt for prompt in prompts if first <= prompt.frame_index < first + count)
        return tuple(replace(prompt, frame_index=prompt.frame_index - first) for prompt in there)

    return replace(one, prompts=own(one.prompts), corrections=own(one.corrections))
