"""Fetching videos: the token goes to Label Studio alone, each address is fetched once, the disk has a budget."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.label_studio.videos import LabelStudio, VideoCache
from tests.label_studio.file_server import ACCESS, FileServer, file_server

PATH = "/data/upload/1/clip.mp4"
PERSONAL = "a.b.c"


@pytest.fixture
def studio() -> Iterator[FileServer]:
    with file_server() as server:
        server.files = {PATH: b"video", "/data/b.mp4": b"other", "/data/c.mp4": b"third"}
        yield server


def cache(server: FileServer, token: str = "", budget: int = 1000) -> VideoCache:
    return VideoCache(LabelStudio(server.url, token), budget)


def read(videos: VideoCache, address: str) -> bytes:
    with videos.video(address) as path:
        return path.read_bytes()


def test_a_path_is_label_studios_and_what_cannot_be_fetched_is_refused() -> None:
    there = LabelStudio("https://labels.example/studio")
    assert there.address("/data/upload/1/a.mp4") == "https://labels.example/data/upload/1/a.mp4"
    assert there.address("http://other.example/a.mp4") == "http://other.example/a.mp4"
    for odd in ("s3://bucket/a.mp4", "file:///etc/passwd", "data:video/mp4;base64,AAAA"):
        with pytest.raises(InvalidRequest, match="cannot be fetched, it must be an upload"):
            there.address(odd)


def test_a_legacy_token_is_shown_as_it_is(studio: FileServer) -> None:
    studio.allowed = "Token 0123"
    assert read(cache(studio, "0123"), studio.url + PATH) == b"video"


def test_a_personal_token_fetches_another_one_for_each_video(studio: FileServer) -> None:
    studio.allowed, studio.refresh = f"Bearer {ACCESS}", PERSONAL
    videos = cache(studio, PERSONAL)
    assert (read(videos, studio.url + PATH), read(videos, studio.url + "/data/b.mp4")) == (b"video", b"other")
    assert [path for path, _ in studio.asked].count("/api/token/refresh") == 2
    assert all(authorization is None for path, authorization in studio.asked if "token" in path)


def test_no_other_host_sees_the_token(studio: FileServer) -> None:
    with file_server() as other:
        other.files = {"/x.mp4": b"elsewhere"}
        studio.redirects = {"/data/away.mp4": other.url + "/x.mp4"}
        videos = cache(studio, "0123")
        assert read(videos, other.url + "/x.mp4") == b"elsewhere"
        assert read(videos, studio.url + "/data/away.mp4") == b"elsewhere"
        assert other.asked == [("/x.mp4", None), ("/x.mp4", None)]
        assert studio.asked == [("/data/away.mp4", "Token 0123")]


def test_a_refused_token_is_told(studio: FileServer) -> None:
    studio.allowed, studio.refresh = "Token right", "x.y.z"
    with pytest.raises(UnreadableVideo, match=r"^video: clip\.mp4 .* 401 Unauthorized: set LABEL_STUDIO_API_KEY to"):
        read(cache(studio, "wrong"), studio.url + PATH)
    with pytest.raises(InvalidRequest, match="does not accept the token in LABEL_STUDIO_API_KEY"):
        read(cache(studio, PERSONAL), studio.url + PATH)


def test_what_cannot_be_fetched_is_told_and_leaves_nothing(studio: FileServer) -> None:
    videos = cache(studio, budget=4)
    with pytest.raises(
        UnreadableVideo, match=r"^video: no\.mp4 cannot be fetched, 127\.0\.0\.1:\d+ answers 404 Not Found$"
    ):
        read(videos, studio.url + "/no.mp4")
    with pytest.raises(UnreadableVideo, match=r"127\.0\.0\.1:9 cannot be reached, or broke off$"):
        read(videos, "http://127.0.0.1:9/a.mp4")
    with pytest.raises(UnreadableVideo, match="reached, or broke off: LABEL_STUDIO_URL must be Label Studio's address"):
        read(VideoCache(LabelStudio("http://127.0.0.1:9"), 4), "http://127.0.0.1:9/a.mp4")
    with pytest.raises(UnreadableVideo, match="larger than 4 bytes"):
        read(videos, studio.url + PATH)
    studio.breaks_off = True
    with pytest.raises(UnreadableVideo, match="broke off"):
        read(videos, studio.url + PATH)
    assert not [path for path in Path(videos._folder.path).rglob("*") if path.is_file()]


def test_an_address_is_fetched_once_even_by_two_at_a_time(studio: FileServer) -> None:
    videos = cache(studio)
    threads = [threading.Thread(target=read, args=(videos, studio.url + PATH)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(studio.asked) == 1


def test_the_oldest_that_nobody_uses_makes_room(studio: FileServer) -> None:
    videos = cache(studio, budget=10)
    with videos.video(studio.url + PATH) as used:
        read(videos, studio.url + "/data/b.mp4")
        read(videos, studio.url + "/data/c.mp4")
        assert used.exists()
    read(videos, studio.url + PATH)
    read(videos, studio.url + "/data/b.mp4")
    assert [path for path, _ in studio.asked] == [PATH, "/data/b.mp4", "/data/c.mp4", "/data/b.mp4"]


def test_names_are_for_messages_only(studio: FileServer) -> None:
    studio.files["/data/..%2F..%2Fetc"] = b"odd"
    videos = cache(studio)
    with videos.video(studio.url + "/data/..%2F..%2Fetc") as path:
        assert path.parent.parent == Path(videos._folder.path) and path.name == "_.._etc"
    videos.close()
    assert not path.exists()
