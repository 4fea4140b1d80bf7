"""A zip with a video per object, `<object>.<format>`, which shows that object alone, and `manifest.json`."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sam2_cog.errors import InvalidRequest
from sam2_cog.limits import SEPARATE_VIDEOS
from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.manifest import Manifest
from sam2_cog.outputs.part_file import folder_of
from sam2_cog.outputs.video import VideoOutput
from sam2_cog.outputs.zip_file import ZipFileWriter


class SeparateVideos(Output):
    """See the module. The videos are encoded side by side in a folder beside the result, then gathered."""

    suffix = ".zip"

    def __init__(self, spec: OutputSpec, kind: type[VideoOutput]) -> None:
        """Raises InvalidRequest for more objects than may be encoded at a time."""
        super().__init__(spec)
        if excess := SEPARATE_VIDEOS.excess(len(spec.names)):
            raise InvalidRequest(f"separate_objects: there are {excess}; a png archive takes any number")
        self._kind = kind
        self._files = tuple(name + kind.suffix for name in safe_names(spec.names))
        self._manifest = Manifest(spec, self._files, notes=self.notes)
        self._held = ExitStack()
        self._videos: list[Output] = []

    def _open(self, path: Path) -> None:
        self._folder = folder_of(path.absolute())
        self._folder.mkdir()
        self._held.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._zip = ZipFileWriter(path)
        self._held.callback(self._zip.stop)
        for name in self._files:
            video = self._kind(replace(self.spec, path=self._folder / name))
            self._held.callback(video.discard)
            video.open()
            self._videos.append(video)
        self.notes += self._videos[0].notes

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        for index, video in enumerate(self._videos):
            painting = video.paint_seconds
            video.write(frame, masks.only(index))
            self.paint_seconds += video.paint_seconds - painting
            self.encode_seconds -= video.paint_seconds - painting
        self._manifest.add(frame, facts)

    def _finish(self) -> None:
        for name, video in zip(self._files, self._videos, strict=True):
            video.close()
            self._zip.copy(name, self._folder / name)
            (self._folder / name).unlink()
        self._zip.deflate("manifest.json", self._manifest.pieces())
        self._zip.finish()

    def _stop(self) -> None:
        self._manifest.close()
        self._held.close()
