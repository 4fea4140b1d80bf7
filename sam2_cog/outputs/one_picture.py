"""The result is one picture: an archive of a single image, without the zip around it and without a manifest."""

from collections.abc import Callable, Iterable
from pathlib import Path


class OnePicture:
    """Takes the place of a `ZipFileWriter` that would get a single picture."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def store(self, name: str, content: Callable[[], bytes]) -> None:
        """The picture; its name within an archive says nothing here."""
        self._path.write_bytes(content())

    def deflate(self, name: str, pieces: Iterable[bytes]) -> None:
        """The manifest has no place in a picture; `--report` writes it beside."""

    def finish(self) -> None:
        """Nothing is left to be done."""

    def stop(self) -> None:
        """Nothing is open."""
