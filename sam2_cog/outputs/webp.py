"""A zip of WebP pictures; `quality` is that of lossy WebP, 1 to 100."""

import cv2

from sam2_cog.outputs.archive import Archive, encode
from sam2_cog.painting.captions import Picture


class WebpOutput(Archive):
    """See the module and `Archive`."""

    def _encode(self, picture: Picture) -> tuple[str, bytes]:
        return "webp", encode(".webp", picture, cv2.IMWRITE_WEBP_QUALITY, self.spec.quality)
