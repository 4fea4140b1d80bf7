"""Click on things in a video, get exact masks of them on every frame."""

from typing import TYPE_CHECKING, Any

from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.request import Request

if TYPE_CHECKING:
    from sam2_cog.session import Session

__version__ = "0.1.0"
__all__ = ["CheckpointError", "InvalidRequest", "Request", "Session", "UnreadableVideo"]


def __getattr__(name: str) -> Any:
    """Load the session, and torch with it, when it is first asked for."""
    if name == "Session":
        from sam2_cog.session import Session

        return Session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
