"""The zip: whole for every reader, the same bytes each time, and no larger in memory for more entries."""

import random
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.outputs.zip_file import ZipFileWriter


def write(path: Path, count: int) -> Path:
    writer = ZipFileWriter(path)
    for number in range(count):
        writer.store(f"masks/ä/{number:05d}.png", bytes((number % 256,)) * 3)
    writer.deflate("manifest.json", (b"{%d}" % number for number in range(9)))
    writer.finish()
    writer.stop()
    return path


def test_other_readers_take_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", 300)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 301
        assert archive.read("masks/ä/00299.png") == bytes((43,)) * 3
        assert archive.read("manifest.json") == b"".join(b"{%d}" % number for number in range(9))
    listing = subprocess.run(["python3", "-m", "zipfile", "-t", str(path)], capture_output=True, text=True, check=True)
    assert "Done testing" in listing.stdout
    assert path.read_bytes() == write(tmp_path / "b.zip", 300).read_bytes()


def test_a_file_from_disk_goes_in_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "video").write_bytes(bytes(range(256)) * 5000)
    writer = ZipFileWriter(tmp_path / "a.zip")
    writer.copy("red.mp4", tmp_path / "video")
    writer.finish()
    writer.stop()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("red.mp4") == (tmp_path / "video").read_bytes()
        assert archive.getinfo("red.mp4").compress_type == zipfile.ZIP_STORED


def test_more_than_65535_entries(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip", 70_000)) as archive:
        assert len(archive.namelist()) == 70_001


@pytest.mark.parametrize("count", [1_000])
def test_memory_does_not_grow_with_the_entries(count: int, tmp_path: Path) -> None:
    peaks = []
    for entries in (count, 4 * count):
        tracemalloc.start()
        write(tmp_path / "a.zip", entries)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000  # the standard library's own index takes 1.1 MB more


def test_an_archive_that_grows_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_ARCHIVE_BYTES", "2000")
    words = "output_format: the archive would have more than 2000 bytes, the most that are allowed"
    for add in (
        lambda archive, name: archive.store(name, bytes(900)),
        lambda archive, name: archive.deflate(name, [random.Random(0).randbytes(900)]),
    ):
        archive = ZipFileWriter(tmp_path / "a.zip")
        add(archive, "1")
        add(archive, "2")
        with pytest.raises(InvalidRequest, match=words):
            add(archive, "3")
        archive.stop()
