"""A zip of JPEG pictures; `quality` is JPEG's own, 1 to 100."""

import cv2

from sam2_cog.outputs.archive import Archive


class JpgOutput(Archive):
    """See the module and `Archive`."""

    picture_suffix = "jpg"

    def _options(self) -> tuple[int, ...]:
        return (cv2.IMWRITE_JPEG_QUALITY, self.spec.quality)
