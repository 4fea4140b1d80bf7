"""A data set read by the tool that it is for, run by the interpreter of the tool's environment.

    python read_data_set.py TOOL FOLDER MASKS.npz

MASKS gets an (H, W) bool array per frame and label, named `00000/label`, as the tool's own code makes it.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np

Named = Iterator[tuple[str, Any]]


def label_studio(folder: Path) -> Named:
    """The brush masks by Label Studio's converter, with our interface; a prediction counts as an annotation."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.converter.brush import decode_from_annotation

    converter = Converter(str(folder / "image_interface.xml"), project_dir=None)
    for number, task in enumerate(json.loads((folder / "image_tasks.json").read_text())):
        annotation = {"id": number, "result": task["predictions"][0]["result"]}
        for item in converter.annotation_result_from_task({**task, "id": number, "annotations": [annotation]}):
            for name, results in item["output"].items():
                for layer, mask in decode_from_annotation(name, results).items():
                    yield f"{number:05d}/{layer.split('-')[1]}", mask > 0


def x_anylabeling(folder: Path) -> Named:
    """The polygons by X-AnyLabeling's loader, drawn by its exporter of masks."""
    import cv2
    from anylabeling.views.labeling.label_converter import LabelConverter
    from anylabeling.views.labeling.label_file import LabelFile

    colours = {"ring": 1, "cat": 2}
    for file in sorted(next(folder.glob("*/")).glob("*.json")):
        loaded = LabelFile(str(file))
        assert Path(loaded.image_path).name == f"{file.stem}.jpg" and loaded.image_data
        assert all(shape.group_id == colours[shape.label] and shape.is_closed() for shape in loaded.shapes)
        with tempfile.TemporaryDirectory() as place:
            drawn = str(Path(place) / "mask.png")
            LabelConverter().custom_to_mask(str(file), drawn, {"type": "grayscale", "colors": colours})
            pixels = cv2.imread(drawn, cv2.IMREAD_GRAYSCALE)
        for label in {shape.label for shape in loaded.shapes}:
            yield f"{file.stem[-5:]}/{label}", pixels == colours[label]


def datumaro(folder: Path) -> Named:
    """The tracks of CVAT's XML by Datumaro, which CVAT's authors wrote to read and convert it."""
    from datumaro import Dataset
    from datumaro.components.annotation import AnnotationType
    from datumaro.plugins.transforms import PolygonsToMasks

    data = Dataset.import_from(str(folder), "cvat")
    labels = data.categories()[AnnotationType.label]
    size = np.loadtxt(folder / "size.txt", dtype=int)
    for item in data:
        for shape in item.annotations:
            assert shape.attributes["keyframe"]
            if not shape.attributes["outside"]:
                mask = PolygonsToMasks.convert_polygon(shape, *size).image
                yield f"{item.attributes['frame']:05d}/{labels[shape.label].name}", mask > 0


def ultralytics(folder: Path) -> Named:
    """What Ultralytics trains from, in full resolution; it puts the frame in the middle of a square."""
    from ultralytics.data import YOLODataset
    from ultralytics.data.utils import check_det_dataset
    from ultralytics.utils import DEFAULT_CFG, IterableSimpleNamespace

    described = check_det_dataset(str(folder / "data.yaml"))
    how = IterableSimpleNamespace(**{**vars(DEFAULT_CFG), "mask_ratio": 1, "overlap_mask": False})
    options = {"task": "segment", "imgsz": 640, "augment": False, "hyp": how}
    data = YOLODataset(img_path=described["train"], data=described, **options)
    for item in (data[number] for number in range(len(data))):
        height = item["ori_shape"][0]
        top = (640 - height) // 2
        for category, mask in zip(item["cls"].ravel().tolist(), item["masks"].numpy(), strict=True):
            yield f"{Path(item['im_file']).stem[-5:]}/{described['names'][category]}", mask[top : top + height] > 0


def main(tool: str, folder: str, result: str) -> None:
    """Read and keep."""
    np.savez_compressed(result, **dict(globals()[tool](Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
