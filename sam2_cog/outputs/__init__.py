"""What a request gets back: one file per kind, all with `open / write / close`; `OUTPUTS` picks by `output_format`.

A further format is a further file with a subclass of `Output` (or of `VideoOutput`, `Archive`, `Dataset`,
`LinesOutput`), and a line in the table.
"""

from sam2_cog.outputs.archive import EXACT, Archive
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.coco import CocoOutput
from sam2_cog.outputs.csv import CsvOutput
from sam2_cog.outputs.cvat import CvatOutput
from sam2_cog.outputs.davis import DavisOutput
from sam2_cog.outputs.jpg import JpgOutput
from sam2_cog.outputs.jsonl import STANDARD_OUTPUT, JsonlOutput, JsonlStream
from sam2_cog.outputs.label_studio import LabelStudioOutput
from sam2_cog.outputs.mov import MovOutput
from sam2_cog.outputs.mp4 import Mp4Output
from sam2_cog.outputs.npz import NpzOutput
from sam2_cog.outputs.png import PngOutput
from sam2_cog.outputs.report import JsonReport
from sam2_cog.outputs.separate import SeparateVideos
from sam2_cog.outputs.video import VideoOutput
from sam2_cog.outputs.webm import WebmOutput
from sam2_cog.outputs.webp import WebpOutput
from sam2_cog.outputs.x_anylabeling import XAnyLabelingOutput
from sam2_cog.outputs.yolo import YoloOutput
from sam2_cog.outputs.ytvis import YtvisOutput
from sam2_cog.request import Request

__all__ = [
    "OUTPUTS",
    "REPORTS",
    "STANDARD_OUTPUT",
    "Output",
    "OutputSpec",
    "output_for",
    "suffix_of",
    "suffix_of_picture",
]

OUTPUTS: dict[str, type[Output]] = {
    "mp4": Mp4Output,
    "mov": MovOutput,
    "webm": WebmOutput,
    "png": PngOutput,
    "webp": WebpOutput,
    "jpg": JpgOutput,
    "csv": CsvOutput,
    "jsonl": JsonlOutput,
    "npz": NpzOutput,
    "coco": CocoOutput,
    "ytvis": YtvisOutput,
    "yolo": YoloOutput,
    "davis": DavisOutput,
    "cvat": CvatOutput,
    "label_studio": LabelStudioOutput,
    "x_anylabeling": XAnyLabelingOutput,
}
REPORTS: dict[str, type[Output]] = {kind.suffix: kind for kind in (JsonReport, CsvOutput)}
"""What can be written beside a result, by the suffix of its name."""


def output_for(output_format: str, spec: OutputSpec) -> Output:
    """What writes this format, not yet open; raises InvalidRequest for what it cannot write."""
    kind = OUTPUTS[output_format]
    if spec.separate_objects and issubclass(kind, VideoOutput):
        return SeparateVideos(spec, kind)
    return JsonlStream(spec) if spec.path == STANDARD_OUTPUT else kind(spec)


def suffix_of(request: Request) -> str:
    """How the name of the request's result ends, with the dot."""
    kind = OUTPUTS[request.output_format]
    return SeparateVideos.suffix if request.separate_objects and issubclass(kind, VideoOutput) else kind.suffix


def suffix_of_picture(request: Request) -> str:
    """How the name ends where one picture is all that is asked for; empty where it never is."""
    if request.separate_objects or not issubclass(OUTPUTS[request.output_format], Archive):
        return ""
    return ".png" if request.mask_type in EXACT else f".{request.output_format}"
