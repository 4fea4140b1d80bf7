"""What a request gets back: one file per kind, all with `open / write / close`; `OUTPUTS` picks by `output_format`.

A further format is a further file with a subclass of `Output` (or of `Archive`), and a line in the table.
"""

from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.jpg import JpgOutput
from sam2_cog.outputs.mp4 import Mp4Output
from sam2_cog.outputs.png import PngOutput
from sam2_cog.outputs.webp import WebpOutput

__all__ = ["OUTPUTS", "Output", "OutputSpec"]

OUTPUTS: dict[str, type[Output]] = {"mp4": Mp4Output, "png": PngOutput, "webp": WebpOutput, "jpg": JpgOutput}
