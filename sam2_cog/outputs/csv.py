"""A CSV table: a row per written frame and object. UTF-8, commas, quotes where needed, as RFC 4180 says."""

import csv
import io
from collections.abc import Iterable, Sequence

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.lines import LinesOutput

COLUMNS = (
    *("frame", "time_seconds", "object", "index", "visible", "area", "x0", "y0", "x1", "y1"),
    *("centroid_x", "centroid_y", "score", "presence", "area_change", "iou_before"),
)
"""Where there is no value the field is empty; `visible` is 1 or 0. What each means: `facts.ObjectFacts`."""


class CsvOutput(LinesOutput):
    """See the module."""

    suffix = ".csv"

    def _head(self) -> bytes:
        return _line(COLUMNS)

    def _lines(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> bytes:
        return b"".join(self._row(frame, one) for one in facts)

    def _row(self, frame: Frame, one: ObjectFacts) -> bytes:
        head = (frame.index, f"{frame.time_seconds:.6f}", self.spec.names[one.index], one.index)
        place = (int(one.visible), one.area, *(one.box or ("",) * 4), *(one.centroid or ("",) * 2))
        return _line((*head, *place, one.score, one.presence, one.area_change, one.iou_before))


def _line(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow("" if value is None else value for value in values)
    return text.getvalue().encode("utf-8")
