"""CVAT for video 1.1: `annotations.xml`, a polygon track per object, and the frames in `images/`.

CVAT has no masks in tracks, and a polygon of it has neither holes nor parts: an object's outlines are joined to one
(see `rings.edge_polygon`), simplified to what an eye sees. Every shape is a key frame, since CVAT invents shapes
between them; where an object is not seen, one with `outside` ends its track for the time.
Source: CVAT's documentation, "XML annotation format", version 1.1. The task must have the labels already.
"""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.rings import edge_polygon
from sam2_cog.painting.render import object_colour

TOLERANCE = 0.001
"""Of a simplified outline, as a share of its length."""


class CvatOutput(Dataset):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._tracks = [self._gather() for _ in spec.names]
        self._shown: list[str] = [""] * len(spec.names)  # the points of each object that is on the frame before

    def _image_name(self, frame: Frame) -> str:
        return f"images/{self.clip}_{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        for index, mask in enumerate(masks.objects):
            ring = edge_polygon(mask, TOLERANCE)
            if ring is not None:
                self._shown[index] = _points(ring)
                self._tracks[index].add([frame.index, 0, self._shown[index]])
            elif self._shown[index]:
                self._tracks[index].add([frame.index, 1, self._shown[index]])
                self._shown[index] = ""

    def _complete(self) -> None:
        numbers, count = self.spec.video.numbers, self.spec.video.whole.frame_count
        for index, points in enumerate(self._shown):
            if points and numbers[-1] + numbers.step < count:  # after a part nothing is known
                self._tracks[index].add([numbers[-1] + numbers.step, 1, points])
        self._zip.deflate("annotations.xml", (text.encode("utf-8") for text in self._xml()))

    def _xml(self) -> Iterator[str]:
        yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        yield self._meta()
        for index, track in enumerate(self._tracks):
            label = quoteattr(self.categories[self.category_of[index]])
            yield f'<track id="{index}" label={label} source="auto">\n'
            for frame, outside, points in track:
                place = f'frame="{frame}" keyframe="1" outside="{outside}" occluded="0"'
                yield f'<polygon {place} points="{points}" z_order="0"></polygon>\n'
            yield "</track>\n"
        yield "</annotations>\n"

    def _meta(self) -> str:
        video = self.spec.video.whole
        labels = "".join(
            f"<label><name>{escape(name)}</name><color>{self._colour(number)}</color><attributes></attributes></label>"
            for number, name in enumerate(self.categories)
        )
        return (
            f"<meta><task><name>{escape(self.clip)}</name><size>{video.frame_count}</size><mode>interpolation</mode>"
            f"<overlap>0</overlap><start_frame>0</start_frame><stop_frame>{video.frame_count - 1}</stop_frame>"
            f"<labels>{labels}</labels><original_size><width>{video.width}</width><height>{video.height}</height>"
            f"</original_size></task></meta>\n"
        )

    def _colour(self, category: int) -> str:
        return "#{:02x}{:02x}{:02x}".format(*object_colour(self.category_of.index(category)))


def _points(ring: NDArray[np.float64]) -> str:
    return ";".join(f"{x:.1f},{y:.1f}" for x, y in ring)
