"""Checkpoints: which file each model needs, where it comes from, and whether it is the published one."""

import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sam2_cog.errors import CheckpointError
from sam2_cog.held import lock_alone

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[1]
PROJECT = PACKAGE.parent
BASE_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"
BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0  # without a single byte
PROGRESS_SECONDS = 1.0
RETRY_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before the second, third, ... try
RETRIED_STATUS = (408, 416, 429)  # besides all of 500 and above


@dataclass(frozen=True)
class Published:
    """A file that can be fetched: its address, its size in bytes, its SHA-256 in lower-case hex."""

    address: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one model.

    `config` is the network's description as `package/path/in/package.yaml`, `file` the name in the weights folder.
    `published` is None for a checkpoint that is part of the source tree.
    """

    name: str
    config: str
    file: str
    published: Published | None


def _official(name: str, config: str, file: str, size: int, sha256: str) -> Checkpoint:
    return Checkpoint(name, f"sam2/configs/sam2.1/{config}", file, Published(BASE_ADDRESS + file, size, sha256))


CHECKPOINTS: dict[str, Checkpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        _official(
            "large",
            "sam2.1_hiera_l.yaml",
            "sam2.1_hiera_large.pt",
            898083611,
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        ),
        _official(
            "base_plus",
            "sam2.1_hiera_b+.yaml",
            "sam2.1_hiera_base_plus.pt",
            323606802,
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        ),
        _official(
            "small",
            "sam2.1_hiera_s.yaml",
            "sam2.1_hiera_small.pt",
            184416285,
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        ),
        _official(
            "tiny",
            "sam2.1_hiera_t.yaml",
            "sam2.1_hiera_tiny.pt",
            156008466,
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        ),
        Checkpoint("demo", "sam2_cog/configs/demo.yaml", "demo.pt", None),
    )
}

Progress = Callable[[str, int, int], None]
"""Told (model name, bytes here, bytes in all), at most once a second and at the end."""


def chosen_model() -> str:
    """The model named by the environment variable SAM2_MODEL, else `large`."""
    return os.environ.get("SAM2_MODEL") or "large"


def find_checkpoint(name: str) -> Checkpoint:
    """The table entry of a model.

    Raises CheckpointError when there is no model of that name.
    """
    if name not in CHECKPOINTS:
        raise CheckpointError(f"model: {name!r} is not known, it must be one of {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]


def checkpoint_path(checkpoint: Checkpoint, weights_dir: str | Path | None = None) -> Path:
    """Where the file belongs: `weights_dir`, else SAM2_WEIGHTS_DIR, else `weights/` of the source tree.

    Where the package is installed without its source tree, the last is the user's cache folder, `sam2-cog` in there. A
    checkpoint of the source tree is always in its `weights/`; the installed package has a copy.
    Raises CheckpointError when there is no home folder to find the cache in.
    """
    from_source = (PROJECT / "pyproject.toml").is_file()
    if checkpoint.published is None:
        return (PROJECT if from_source else PACKAGE) / "weights" / checkpoint.file
    folder = weights_dir or os.environ.get("SAM2_WEIGHTS_DIR")
    if folder is None and from_source:
        folder = PROJECT / "weights"
    try:
        return Path(folder or _user_cache()).expanduser() / checkpoint.file
    except RuntimeError as error:
        reason = "there is no home folder for it, and the environment variable SAM2_WEIGHTS_DIR names no other"
        raise CheckpointError(f"{checkpoint.name}: the checkpoint cannot be kept: {reason}") from error


def fingerprint(name: str) -> str:
    """The SHA-256 of a model's checkpoint, which was verified when it was loaded.

    Raises CheckpointError when there is no model of that name.
    """
    checkpoint = find_checkpoint(name)
    if checkpoint.published:
        return checkpoint.published.sha256
    return hashlib.sha256(checkpoint_path(checkpoint).read_bytes()).hexdigest()


def _user_cache() -> Path:
    """The user's cache folder of this program, by the XDG Base Directory Specification."""
    named = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (named if named.is_absolute() else Path("~/.cache")) / "sam2-cog"


def verify_checkpoint(name: str, weights_dir: str | Path | None = None) -> Path:
    """The path of a model's checkpoint, after every byte of it was checked.

    An official file is compared with its published size and SHA-256: 1 GB takes about a second, which is little beside
    reading it, so it is done at every load. A file of the source tree is compared with the check sums in itself.
    Raises CheckpointError when the file is missing, cannot be read or is another one.
    """
    checkpoint = find_checkpoint(name)
    path = checkpoint_path(checkpoint, weights_dir)
    try:
        difference = _difference(path, checkpoint.published) if checkpoint.published else _damage(path)
    except FileNotFoundError as error:
        remedy = f"fetch it with 'python -m sam2_cog weights fetch {name}'"
        if checkpoint.published is None:
            remedy = "it is part of this project, so restore it from there"
        raise CheckpointError(f"{name}: the checkpoint {path} does not exist; {remedy}") from error
    except OSError as error:
        raise CheckpointError(f"{name}: the checkpoint {path} cannot be read: {error.strerror or error}") from error
    if difference:
        remedy = "delete it to have it fetched again" if checkpoint.published else "restore it from this project"
        raise CheckpointError(f"{name}: the checkpoint {path} {difference}; {remedy}")
    return path


def log_progress(name: str, received: int, size: int) -> None:
    """The default progress report: one log line."""
    logger.info("%s: fetched %.1f of %.1f MB (%d %%)", name, received / 1e6, size / 1e6, 100 * received // size)


def fetch_checkpoint(name: str, weights_dir: str | Path | None = None, progress: Progress = log_progress) -> Path:
    """The path of a model's verified checkpoint, fetched first when it is not there.

    A file that is there is never replaced, only verified. While it is fetched it has the suffix `.part`; a later call
    goes on where a broken one stopped. Several processes may call this at once: one fetches, the others wait for it.
    Raises CheckpointError when the file cannot be had or is not the published one (then nothing of it is kept).
    """
    checkpoint = find_checkpoint(name)
    path = checkpoint_path(checkpoint, weights_dir)
    if checkpoint.published is None or path.exists():
        return verify_checkpoint(name, weights_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_writer(path.with_name(path.name + ".part"), name) as file:
            if not path.exists():  # another process may have fetched it meanwhile
                _fetch(name, checkpoint.published, file, path, progress)
    except OSError as error:
        raise CheckpointError(f"{name}: cannot write the checkpoint {path}: {error.strerror or error}") from error
    return path


class _Interrupted(Exception):
    """The download stopped for a reason that may pass; what is there can be continued."""


@contextmanager
def _only_writer(part: Path, name: str) -> Iterator[BinaryIO]:
    """Open the partial file for appending, for this process alone; removed at the end if it is empty."""
    while True:
        with part.open("ab") as file:
            _lock(file, name)
            if not _is_file_at(file, part):
                continue  # the one who had the lock finished it or gave it up: begin anew
            try:
                yield file
            finally:
                if os.fstat(file.fileno()).st_size == 0:
                    part.unlink(missing_ok=True)
            return


def _lock(file: BinaryIO, name: str) -> None:
    try:
        lock_alone(file, Path(file.name))
    except BlockingIOError:
        logger.info("%s: another process fetches this checkpoint, waiting for it", name)
        lock_alone(file, Path(file.name), wait=True)


def _is_file_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fetch(name: str, published: Published, file: BinaryIO, path: Path, progress: Progress) -> None:
    """Complete the partial file, check it and give it its name; what is refused is removed."""
    part = Path(file.name)
    try:
        _receive_with_retries(name, published, file, progress)
        difference = _difference(part, published)
        if difference:
            raise CheckpointError(f"{name}: the file at {published.address} {difference}; it was not kept")
        os.replace(part, path)
    except (CheckpointError, OSError):
        part.unlink(missing_ok=True)
        raise
    except _Interrupted as error:
        raise CheckpointError(
            f"{name}: the checkpoint {path} does not exist and cannot be fetched from {published.address}: {error}"
        ) from error


def _receive_with_retries(name: str, published: Published, file: BinaryIO, progress: Progress) -> None:
    for pause in RETRY_PAUSES:
        try:
            return _receive(name, published, file, progress)
        except _Interrupted as error:
            logger.info("%s: %s; trying again in %g s", name, error, pause)
            time.sleep(pause)
    return _receive(name, published, file, progress)


def _receive(name: str, published: Published, file: BinaryIO, progress: Progress) -> None:
    """Append what is missing of the partial file, from one connection."""
    start = file.seek(0, os.SEEK_END)
    if start > published.size:
        start = _empty(file)
    if start == published.size:
        return
    with _open(name, published, file, start) as response:
        if response.status == 206:
            _require_range(response, file, f"bytes {start}-{published.size - 1}/{published.size}")
        elif start:
            start = _empty(file)  # the server sends the whole file
        if response.length not in (None, published.size - start):
            size = start + response.length
            raise CheckpointError(f"{name}: the file at {published.address} has {_sizes(size, published)}")
        received = _append(name, published, file, start, response, progress)
    if received < published.size:
        raise _Interrupted(f"the connection ended after {received} of {published.size} bytes")


def _require_range(response: http.client.HTTPResponse, file: BinaryIO, expected: str) -> None:
    if response.headers.get("Content-Range") != expected:
        _empty(file)
        raise _Interrupted("the server sent another part of the file than the one asked for")


def _append(
    name: str,
    published: Published,
    file: BinaryIO,
    received: int,
    response: http.client.HTTPResponse,
    progress: Progress,
) -> int:
    """Write the body of the response to the file; returns the number of bytes in the file."""
    told = time.monotonic()
    for block in _blocks(response):
        file.write(block)
        received += len(block)
        if received > published.size:
            break
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            progress(name, received, published.size)
    file.flush()
    if received == published.size:
        progress(name, received, published.size)
    return received


def _open(name: str, published: Published, file: BinaryIO, start: int) -> http.client.HTTPResponse:
    """Ask for the bytes from `start` on."""
    headers = {"User-Agent": "sam2-cog"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(published.address, headers=headers)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answered {error.code} {error.reason}"
        if error.code == 416:
            _empty(file)  # the server's file ends before ours
        if error.code in RETRIED_STATUS or error.code >= 500:
            raise _Interrupted(reason) from error
        raise CheckpointError(f"{name}: the checkpoint cannot be fetched from {published.address}: {reason}") from error
    except urllib.error.URLError as error:
        raise _Interrupted(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _empty(file: BinaryIO) -> int:
    file.truncate(0)
    return file.seek(0)


def _sizes(size: int, published: Published) -> str:
    return f"{size} bytes, but the published checkpoint has {published.size} bytes"


def _difference(path: Path, published: Published) -> str:
    """How the file differs from the published one, or nothing."""
    size = path.stat().st_size
    if size != published.size:
        return f"has {_sizes(size, published)}"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != published.sha256:
        return f"has SHA-256 {digest.hexdigest()}, but the published checkpoint has {published.sha256}"
    return ""


def _damage(path: Path) -> str:
    """What is wrong with a file saved by torch: a zip archive with a check sum for every entry."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        return f"is not a checkpoint ({error})"
    return f"is damaged ({broken} does not match its check sum)" if broken else ""
