"""The videos of Label Studio's tasks, fetched to disk: each address once, within a budget.

An upload or a file that Label Studio serves has an address without a host; only that server is shown the token.
"""

import hashlib
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import requests

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.held import HeldFolder

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
SECONDS = (5, 60)
"""How long to wait for a connection, and for each next piece."""


@dataclass(frozen=True)
class LabelStudio:
    """The server whose tasks are worked on: its address, and a personal access token or a legacy token, or none."""

    url: str
    token: str = ""

    def address(self, path: str) -> str:
        """A task's video as a full address; raises InvalidRequest for what only Label Studio itself can open."""
        address = urljoin(self.url + "/", path)
        if urlsplit(address).scheme not in ("http", "https"):
            raise InvalidRequest(
                f"video: {path[:80]!r} cannot be fetched, it must be an upload, a file that Label Studio serves, or an "
                "http or https address"
            )
        return address

    def is_own(self, address: str) -> bool:
        """Whether an address is on this server."""
        return _origin(address) == _origin(self.url)

    def headers(self, address: str) -> dict[str, str]:
        """What to show to the server of `address`: the token to Label Studio's own, nothing to any other.

        A personal access token is a JWT (two dots) that only fetches another one, which lives for five minutes.
        """
        if not self.token or not self.is_own(address):
            return {}
        if self.token.count(".") != 2:
            return {"Authorization": f"Token {self.token}"}
        answer = requests.post(f"{self.url}/api/token/refresh", json={"refresh": self.token}, timeout=SECONDS)
        if answer.status_code in (400, 401, 403):
            raise InvalidRequest("Label Studio does not accept the token in LABEL_STUDIO_API_KEY: make a new one there")
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access']}"}


class VideoCache:
    """Fetched videos in a temporary folder; the least recently used ones go when there are more than `budget` bytes."""

    def __init__(self, studio: LabelStudio, budget: int) -> None:
        self._studio = studio
        self._budget = budget
        self._folder = HeldFolder()
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._lock = threading.Lock()
        self._stopped = False

    @contextmanager
    def video(self, address: str) -> Iterator[Path]:
        """The file behind a full address, which stays until the way out.

        Raises:
            UnreadableVideo: it cannot be fetched, or is larger than the budget.
            InvalidRequest: the token is refused.
        """
        with self._lock:
            file = self._files.setdefault(address, _File(self._path(address)))
            self._files.move_to_end(address)
            file.users += 1
        try:
            with file.lock:
                if not file.path.exists():
                    self._fetch(address, file.path)
                    self._make_room()
            yield file.path
        finally:
            with self._lock:
                file.users -= 1

    def stop(self) -> None:
        """Break off what is being fetched."""
        self._stopped = True

    def close(self) -> None:
        """Remove all files."""
        self._folder.close()

    def _path(self, address: str) -> Path:
        """In a folder of its own, under a name that messages can show."""
        name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(address).path.rpartition("/")[2]))[-80:].lstrip(".")
        return self._folder.path / hashlib.sha256(address.encode()).hexdigest() / (name or "video")

    def _fetch(self, address: str, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(path.name + ".part")
        try:
            with requests.get(address, headers=self._studio.headers(address), stream=True, timeout=SECONDS) as answer:
                self._check(answer, address, path.name)
                with part.open("wb") as file:
                    for chunk in answer.iter_content(CHUNK):
                        if self._stopped:
                            raise UnreadableVideo(f"video: {path.name} was not fetched, the backend was stopped")
                        file.write(chunk)
                        if file.tell() > self._budget:
                            raise UnreadableVideo(f"video: {path.name} is larger than {self._budget} bytes")
            part.rename(path)
        except requests.RequestException as error:
            found = f"video: {path.name} cannot be fetched, {urlsplit(address).netloc} {_cause(error)}"
            hint = ": LABEL_STUDIO_URL must be Label Studio's address as this machine reaches it"
            raise UnreadableVideo(found + hint * self._studio.is_own(address)) from None
        finally:
            part.unlink(missing_ok=True)

    def _check(self, answer: requests.Response, address: str, name: str) -> None:
        if answer.ok:
            return
        found = (
            f"video: {name} cannot be fetched, {urlsplit(address).netloc} answers {answer.status_code} {answer.reason}"
        )
        if answer.status_code in (401, 403) and self._studio.is_own(address):
            found += ": set LABEL_STUDIO_API_KEY to a token of Label Studio that may read this project"
        raise UnreadableVideo(found)

    def _make_room(self) -> None:
        """Remove what nobody uses, oldest use first, until the rest fits."""
        with self._lock:
            sizes = {address: _size(file.path) for address, file in self._files.items()}
            for address, file in list(self._files.items()):
                if sum(sizes.values()) <= self._budget:
                    return
                if not file.users:
                    file.path.unlink(missing_ok=True)
                    del self._files[address], sizes[address]


class _File:
    """A place in the cache; `lock` is held while it is fetched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.lock = threading.Lock()


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: who would read a token that is sent there."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cause(error: requests.RequestException) -> str:
    """A library's exception in words, to go on after the server's name."""
    if isinstance(error, requests.Timeout):
        return "does not answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "cannot be reached, or broke off"
    return f"is the wrong address ({type(error).__name__})"
