"""Label Studio: tasks to import, with the labelling interface that each kind needs (`*.xml`).

`video_task.json`: the clip with a `videorectangle` sequence per object. `image_tasks.json`: each frame with a brush
mask per object, since Label Studio has no masks on video. Both are predictions; "video" and "image" hold file names, to
be replaced by where Label Studio finds the files (docs/outputs.md).

Label Studio counts frames from 1 by the interface's `framerate`: of its frame f it shows the picture at (f - 1) / rate
seconds. A box is held after its last key frame unless that says `enabled: false`. Source: Label Studio 1.23.
"""

import json
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any
from xml.sax.saxutils import quoteattr

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.brush_rle import brush_rle
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts

_LATE_SECONDS = 0.002
"""Label Studio shows its frame f as it is so long after (f - 1) / rate."""


class LabelStudioOutput(Dataset):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._rate = float(spec.video.whole.frame_rate)
        self._tasks = self._gather()
        self._sequences = [self._gather() for _ in spec.names]
        self._pending: list[dict[str, Any] | None] = [None] * len(spec.names)

    def _image_name(self, frame: Frame) -> str:
        return f"images/{self.clip}_{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        for index, one in enumerate(facts):
            self._put(index, self._key_frame(frame, one) if one.box else None)
        regions = [
            {
                **self._region(index, "brush", "image", "brushlabels"),
                "original_width": self.spec.video.width,
                "original_height": self.spec.video.height,
                "image_rotation": 0,
                "score": facts[index].score,
                "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [self._category(index)]},
            }
            for index, mask in enumerate(masks.objects)
            if mask.tight is not None
        ]
        self._tasks.add({"data": {"image": image}, "predictions": [{"model_version": self._model, "result": regions}]})

    def _key_frame(self, frame: Frame, facts: ObjectFacts) -> dict[str, Any]:
        """The box in percent of the frame, on the first of Label Studio's frames that shows this one."""
        assert facts.box is not None
        (x0, y0, x1, y1), video = facts.box, self.spec.video.whole
        seconds = frame.time_seconds - float(video.pts[0] * video.time_base)
        number = max(0, ceil((seconds - _LATE_SECONDS) * self._rate)) + 1
        shares = ((x0, video.width), (y0, video.height), (x1 - x0, video.width), (y1 - y0, video.height))
        x, y, width, height = (round(100 * part / whole, 4) for part, whole in shares)
        place = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
        return {"frame": number, "time": round(number / self._rate, 6), "enabled": True, **place}

    def _put(self, index: int, key_frame: dict[str, Any] | None) -> None:
        """Write the object's key frame before this one, now that it is known whether it was the last for a while."""
        before = self._pending[index]
        if before is not None and (key_frame is None or key_frame["frame"] > before["frame"]):
            self._sequences[index].add({**before, "enabled": key_frame is not None})
        self._pending[index] = key_frame

    def _complete(self) -> None:
        for index in range(len(self._sequences)):
            self._put(index, None)
        self._zip.deflate("image_tasks.json", self._tasks.array())
        self._zip.deflate("video_task.json", self._video_task())
        labels = "".join(f"<Label value={quoteattr(name)}/>" for name in self.categories)
        self._zip.store("video_interface.xml", _VIDEO.format(rate=self._rate, labels=labels).encode("utf-8"))
        self._zip.store("image_interface.xml", _IMAGE.format(labels=labels).encode("utf-8"))

    def _video_task(self) -> Iterator[bytes]:
        video = self.spec.video.whole
        head = {"data": {"video": video.path.name}}
        yield b"[" + json.dumps(head, ensure_ascii=False).encode("utf-8")[:-1]
        yield f', "predictions": [{{"model_version": {json.dumps(self._model)}, "result": ['.encode()
        length = {"framesCount": round(video.duration_seconds * self._rate), "duration": video.duration_seconds}
        for index, sequence in enumerate(self._sequences):
            value = {**length, "labels": [self._category(index)]}
            text = json.dumps(self._region(index, "box", "video", "videorectangle"), ensure_ascii=False)
            yield ("," if index else "").encode() + text.encode("utf-8")[:-1] + b', "value": '
            yield json.dumps(value, ensure_ascii=False).encode("utf-8")[:-1] + b', "sequence": '
            yield from sequence.array()
            yield b"}}"
        yield b"]}]}]\n"

    def _region(self, index: int, source: str, target: str, kind: str) -> dict[str, Any]:
        ends = {"from_name": source, "to_name": target, "type": kind, "origin": "prediction"}
        return {"id": f"object_{index + 1}", **ends, "meta": {"text": [self.spec.names[index]]}}

    def _category(self, index: int) -> str:
        return self.categories[self.category_of[index]]

    @property
    def _model(self) -> str:
        return f"sam2-cog {self.spec.model}"


_VIDEO = """<View>
  <Labels name="label" toName="video" allowEmpty="true">{labels}</Labels>
  <Video name="video" value="$video" framerate="{rate:.6g}"/>
  <VideoRectangle name="box" toName="video" smart="true"/>
</View>
"""
_IMAGE = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="brush" toName="image">{labels}</BrushLabels>
</View>
"""
