"""Click on things in a video, get exact masks of them on every frame."""

__version__ = "0.1.0"
