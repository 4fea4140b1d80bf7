"""The manifest as a file of its own: a report beside any result."""

from collections.abc import Sequence
from pathlib import Path

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.manifest import Manifest


class JsonReport(Output):
    """See the module and `manifest`."""

    suffix = ".json"

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._manifest = Manifest(spec, notes=self.notes)

    def _open(self, path: Path) -> None:
        self._path = path

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        self._manifest.add(frame, facts)

    def _finish(self) -> None:
        with self._path.open("wb") as file:
            file.writelines(self._manifest.pieces())

    def _stop(self) -> None:
        self._manifest.close()
