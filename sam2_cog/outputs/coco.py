"""COCO: `images/<clip>_<frame>.jpg` and `annotations/instances_default.json`, a compressed RLE per object and frame.

All numbers begin at 1, because tools take 0 for "none"; `iscrowd` is 0, because converters pass over crowds. Beyond
COCO, images have `video_id` and `frame_index`, and annotations `track_id` (the object's) and `score`.
Source: cocodataset.org, "Data format"; the names of the files are those that CVAT exports and imports.
"""

from collections.abc import Sequence
from typing import Any

from sam2_cog.masks import FrameMasks, ObjectMask, compressed_rle
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.json_lines import document


class CocoOutput(Dataset):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._images, self._annotations = self._gather(), self._gather()

    def _image_name(self, frame: Frame) -> str:
        return f"images/{self.clip}_{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        video, number = self.spec.video, frame.index + 1
        name = image.removeprefix("images/")
        size = {"width": video.width, "height": video.height}
        self._images.add({"id": number, "file_name": name, **size, "video_id": 1, "frame_index": frame.index})
        for index, mask in enumerate(masks.objects):
            if mask.tight is not None:
                head = {"id": len(self._annotations) + 1, "image_id": number}
                tail = {"iscrowd": 0, "track_id": index + 1, "video_id": 1, "score": facts[index].score}
                self._annotations.add({**head, "category_id": self.category_of[index] + 1, **shape(mask), **tail})

    def _complete(self) -> None:
        video = self.spec.video
        head = {
            "info": {"description": f"{video.path.name}, masks by sam2-cog ({self.spec.model})"},
            "licenses": [],
            "videos": [{"id": 1, "name": self.clip, "width": video.width, "height": video.height}],
            "categories": category_list(self.categories),
        }
        pieces = document(head, images=self._images, annotations=self._annotations)
        self._zip.deflate("annotations/instances_default.json", pieces)


def shape(mask: ObjectMask) -> dict[str, Any]:
    """A mask that is not empty, as COCO says it: run lengths, area, and the box [x, y, width, height] of all pixels."""
    assert mask.tight is not None
    x0, y0, x1, y1 = mask.tight
    rle = {"size": list(mask.size), "counts": compressed_rle(mask)}
    return {"segmentation": rle, "area": mask.area, "bbox": [x0, y0, x1 - x0, y1 - y0]}


def category_list(names: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's categories, numbered from 1."""
    return [{"id": number, "name": name, "supercategory": "object"} for number, name in enumerate(names, 1)]
