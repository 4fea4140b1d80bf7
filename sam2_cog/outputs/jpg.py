"""A zip of JPEG pictures; `quality` is JPEG's own, 1 to 100."""

import cv2

from sam2_cog.outputs.archive import Archive, encode
from sam2_cog.painting.captions import Picture


class JpgOutput(Archive):
    """See the module and `Archive`."""

    def _encode(self, picture: Picture) -> tuple[str, bytes]:
        return "jpg", encode(".jpg", picture, cv2.IMWRITE_JPEG_QUALITY, self.spec.quality)
