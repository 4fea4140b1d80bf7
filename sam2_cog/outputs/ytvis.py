"""YouTube-VIS: `JPEGImages/<clip>/<frame>.jpg` and `instances.json`, with one annotation per object for the whole clip.

Its lists are as long as the clip, null where the object is not seen. Source: the YouTube-VIS challenge's data format,
as its own loader (ytvos.py) and detectron2's `load_ytvis_json` read it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.coco import category_list, shape
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.json_lines import JsonLines

_ROOT = "JPEGImages/"


class YtvisOutput(Dataset):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._files = self._gather()
        self._tracks = [self._gather() for _ in spec.names]

    def _image_name(self, frame: Frame) -> str:
        return f"{_ROOT}{self.clip}/{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        self._files.add(image.removeprefix(_ROOT))
        for track, mask in zip(self._tracks, masks.objects, strict=True):
            track.add(None if mask.tight is None else shape(mask))

    def _complete(self) -> None:
        self._zip.deflate("instances.json", self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The file, bit by bit; each track is read three times, because its three lists follow each other."""
        video = self.spec.video
        size = {"width": video.width, "height": video.height}
        yield b'{"info": {}, "licenses": [],\n"categories": ' + _json(category_list(self.categories))
        yield b',\n"videos": [' + _json({"id": 1, **size, "length": len(self._files)})[:-1] + b', "file_names": '
        yield from self._files.array()
        yield b'}],\n"annotations": ['
        for index, track in enumerate(self._tracks):
            head = {"id": index + 1, "video_id": 1, "category_id": self.category_of[index] + 1, "iscrowd": 0, **size}
            yield (b",\n" if index else b"\n") + _json(head)[:-1]
            for name, key in (("segmentations", "segmentation"), ("areas", "area"), ("bboxes", "bbox")):
                yield f', "{name}": ['.encode()
                yield from _column(track, key)
                yield b"]"
            yield b"}"
        yield b"\n]}\n"


def _column(track: JsonLines, key: str) -> Iterator[bytes]:
    for number, entry in enumerate(track):
        yield (b"," if number else b"") + _json(entry and entry[key])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")
