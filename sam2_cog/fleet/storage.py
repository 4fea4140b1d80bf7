"""Where clips come from and results go: folders of this machine, or whatever `fsspec` opens (`s3://`, `gs://`, ...)."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import requests

from sam2_cog.errors import InvalidRequest, UnreadableVideo, first_line
from sam2_cog.held import HeldFolder
from sam2_cog.outputs.part_file import remove_dead_parts
from sam2_cog.runs.resume import check_seconds

_SECONDS_TO_ANSWER = 60


def is_address(place: str) -> bool:
    """Whether this is an address and not a path of this machine."""
    return "://" in place


def fetch(what: str, source: str, folder: Path) -> Path:
    """The file of an address, copied into `folder`, which is made; a path is itself. `what` names the input.

    Raises UnreadableVideo with one sentence when it cannot be had.
    """
    if not is_address(source):
        return Path(source)
    target = folder / PurePosixPath(without_query(source)).name
    try:
        folder.mkdir(exist_ok=True)
        if source.startswith(("http://", "https://")):
            _download(source, target)
        else:
            _filesystem(source).get_file(source, str(target))
    except Exception as error:  # each kind of store raises its own
        raise UnreadableVideo(f"{what}: {without_query(source)} cannot be fetched: {first_line(error)}") from error
    return target


def _download(address: str, target: Path) -> None:
    with requests.get(address, stream=True, timeout=_SECONDS_TO_ANSWER) as answer:
        if not answer.ok:
            raise OSError(f"the server answers {answer.status_code} {answer.reason}")
        with target.open("wb") as file:
            for part in answer.iter_content(1 << 20):
                file.write(part)


def without_query(address: str) -> str:
    """An address as it names a file: what follows is often a long signature, and another one each day."""
    return address.partition("?")[0].partition("#")[0]


class Results:
    """The folder that results go to. A remote one is filled from a temporary folder of this machine.

    `path(name)` is where to write a file, `keep(name)` makes it stay there, `has(name)` asks whether it does.
    """

    def __init__(self, place: str, checkpoint: float | None = None) -> None:
        """checkpoint: seconds between two states of a result in the making, which are kept beside it; None for none."""
        if checkpoint is not None:
            check_seconds(checkpoint)
            if is_address(place):
                raise InvalidRequest(
                    f"checkpoint: it is kept beside the results, which must be in a folder, but {place[:80]!r} is an "
                    "address"
                )
        self.checkpoint = checkpoint
        self._place = place.rstrip("/")
        self._remote = _filesystem(place) if is_address(place) else None
        self._copies = HeldFolder() if self._remote else None
        self.folder = self._copies.path if self._copies else _writable(Path(place))
        remove_dead_parts(self.folder)

    def path(self, name: str) -> Path:
        """Where this machine writes the file."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the finished file is there."""
        return bool(self._remote.exists(f"{self._place}/{name}")) if self._remote else self.path(name).is_file()

    def bring(self, name: str) -> None:
        """Copy a remote file here, if there is one."""
        if self._remote and self.has(name):
            self._remote.get_file(f"{self._place}/{name}", str(self.path(name)))

    def keep(self, name: str, *, move: bool = True) -> None:
        """Put the written file where it belongs; a store takes a file whole or not at all."""
        if self._remote:
            self._remote.makedirs(self._place, exist_ok=True)
            self._remote.put_file(str(self.path(name)), f"{self._place}/{name}")
            if move:
                self.path(name).unlink()

    def close(self) -> None:
        """Remove what is only a copy."""
        if self._copies:
            self._copies.close()


def _writable(folder: Path) -> Path:
    """The folder, made where it is missing; raises InvalidRequest if nothing can be written there."""
    if folder.exists() and not folder.is_dir():
        raise InvalidRequest(f"output: {str(folder)!r} is a file, but batch writes its results to a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InvalidRequest(
            f"output: nothing can be written to the folder {str(folder)!r}: {error.strerror}"
        ) from None
    return folder


def _filesystem(place: str) -> Any:
    import fsspec

    try:
        return fsspec.core.url_to_fs(place)[0]
    except (ImportError, ValueError) as error:
        kind = place.partition("://")[0]
        raise InvalidRequest(f"addresses of the kind {kind}:// cannot be used: {first_line(error)}") from None
