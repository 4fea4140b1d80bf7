"""A zip of PNG pictures: every pixel exact, whatever `quality` says."""

import cv2

from sam2_cog.outputs.archive import Archive

_FAST = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
)  # three times as fast as level 3 with all filters tried, and 15 % larger


class PngOutput(Archive):
    """See the module and `Archive`."""

    picture_suffix = "png"

    def _options(self) -> tuple[int, ...]:
        return _FAST
