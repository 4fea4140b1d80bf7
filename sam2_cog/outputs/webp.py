"""A zip of WebP pictures; `quality` is that of lossy WebP, 1 to 100."""

import cv2

from sam2_cog.outputs.archive import Archive


class WebpOutput(Archive):
    """See the module and `Archive`."""

    picture_suffix = "webp"

    def _options(self) -> tuple[int, ...]:
        return (cv2.IMWRITE_WEBP_QUALITY, self.spec.quality)
