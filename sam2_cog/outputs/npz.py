"""NumPy's `.npz`: what the network found, for those who go on computing. `numpy.load` reads one array at a time.

For each written frame, by its running number: `masks/00000`, (objects, height, width) bool, and `logits/00000`,
(objects, h, w) float16 in the network's own resolution, positive where the mask is; not there on frames that were not
tracked. Enlarged bilinearly to the frame they are the masks, to rounding, and 1 / (1 + exp(-logit)) is a probability.
Then `frame` and `time_seconds` (n,), `score` and `presence` (n, objects) and `names` (objects,).
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.json_lines import JsonLines
from sam2_cog.outputs.manifest import Manifest
from sam2_cog.outputs.zip_file import ZipFileWriter


class NpzOutput(Output):
    """See the module."""

    suffix = ".npz"

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._held = ExitStack()
        self._manifest, self._rows = Manifest(spec, notes=self.notes), JsonLines()
        self._held.callback(self._manifest.close)
        self._held.callback(self._rows.close)

    def _open(self, path: Path) -> None:
        self._zip = ZipFileWriter(path)
        self._held.callback(self._zip.stop)

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        shape = (len(masks.objects), *masks.objects[0].size)
        pixels = (mask.full().tobytes() for mask in masks.objects)
        self._store(f"masks/{self.frames_written:05d}", shape, np.dtype(bool), pixels)
        if masks.soft is not None:
            logits = masks.soft.astype(np.float16)
            self._store(f"logits/{self.frames_written:05d}", logits.shape, logits.dtype, [logits.tobytes()])
        self._rows.add([frame.index, frame.time_seconds, masks.scores.tolist(), masks.presence.tolist()])
        self._manifest.add(frame, facts)

    def _finish(self) -> None:
        count, objects = len(self._rows), len(self.spec.names)
        columns: tuple[tuple[str, tuple[int, ...], Any], ...] = (
            ("frame", (count,), np.int64),
            ("time_seconds", (count,), np.float64),
            ("score", (count, objects), np.float32),
            ("presence", (count, objects), np.float32),
        )
        for position, (name, shape, kind) in enumerate(columns):
            values = (np.array(row[position], kind).tobytes() for row in self._rows)
            self._store(name, shape, np.dtype(kind), values)
        names = np.array(self.spec.names)
        self._store("names", names.shape, names.dtype, [names.tobytes()])
        self._zip.deflate("manifest.json", self._manifest.pieces())
        self._zip.finish()

    def _stop(self) -> None:
        self._held.close()

    def _store(self, name: str, shape: tuple[int, ...], kind: np.dtype[Any], values: Iterable[bytes]) -> None:
        self._zip.deflate(f"{name}.npy", _array(shape, kind, values))


def _array(shape: tuple[int, ...], kind: np.dtype[Any], values: Iterable[bytes]) -> Iterator[bytes]:
    """A .npy file, bit by bit."""
    head = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, description)
    yield head.getvalue()
    yield from values
