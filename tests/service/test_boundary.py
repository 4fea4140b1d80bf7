"""What a stranger may name, and what a stranger is told."""

import errno
from pathlib import Path

import pytest
import torch
from cog import Path as CogPath

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.service.boundary import ServiceError, allowed_file, for_strangers


def closed(given: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        allowed_file("video", given)
    return str(caught.value)


def test_what_cog_fetched_is_taken_as_it_is(tmp_path: Path) -> None:
    assert allowed_file("video", CogPath(tmp_path / "a.mp4")) == tmp_path / "a.mp4"


def test_files_of_the_server_are_closed_unless_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    inside, outside = tmp_path / "shared" / "a.mp4", tmp_path / "b.mp4"
    for path in (inside, outside):
        path.write_text("a")
    (tmp_path / "shared" / "link.mp4").symlink_to(outside)
    monkeypatch.delenv("SAM2_LOCAL_FILES", raising=False)
    sentences = {closed(str(path)) for path in (inside, outside, tmp_path / "none")} | {closed("")}
    monkeypatch.setenv("SAM2_LOCAL_FILES", str(tmp_path / "shared"))
    monkeypatch.chdir(tmp_path / "shared")
    assert (
        allowed_file("video", str(inside))
        == allowed_file("video", "a.mp4")
        == allowed_file("video", "../shared/a.mp4")
        == inside
    )
    for given in (str(outside), "link.mp4", "../b.mp4", "none.mp4", "", "a\0b", "n" * 9999, None, 5, ["a.mp4"]):
        sentences.add(closed(given))
    assert len(sentences) == 1 and str(tmp_path) not in sentences.pop()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/secret/a"), "the service failed: its disk is full"),
        (OSError(errno.EMFILE, "Too many", "/secret/a"), "the service failed: it can open no more files"),
        (PermissionError(errno.EACCES, "x", "/secret"), "its folder for temporary files cannot be written"),
        (FileNotFoundError(errno.ENOENT, "x", "/secret"), "its folder for temporary files is missing"),
        (MemoryError("/secret"), "its memory is not enough; fewer objects or smaller frames need less"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "fewer objects or smaller frames need less",
        ),
        (torch.OutOfMemoryError("CUDA"), "the memory of its device is not enough; fewer objects at a time need less"),
        (OSError("a.mp4 cannot be written: ffmpeg stopped"), "a.mp4 cannot be written: ffmpeg stopped"),
        (OSError(errno.EXDEV, "x", "/secret"), "the service failed: its log says why"),
        (KeyError("/secret"), "the service failed: its log says why"),
    ],
)
def test_an_error_of_ours_is_a_sentence_and_the_log_has_the_rest(
    capfd: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    found = for_strangers(error)
    assert isinstance(found, ServiceError) and str(found).endswith(said) and "/secret" not in str(found)
    assert type(error).__name__ in capfd.readouterr().err


@pytest.mark.parametrize("error", [InvalidRequest("a"), UnreadableVideo("b")])
def test_a_refusal_stays_what_it_is(error: Exception) -> None:
    assert for_strangers(error) is error
