"""Benchmarks that must not rot between two measurements: each runs once, small."""

import sys

import pytest

from benchmarks import backward, host


@pytest.mark.skipif(sys.platform != "linux", reason="reads the clocks of processes as Linux has them")
def test_the_host_path_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["host", "--quick"])
    host.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| 2 |")]
    assert [row[1].strip() for row in rows] == ["mp4 highlighted", "mp4 binary", "png highlighted", "png binary"]
    for row in rows:
        main, read, write, pool, decode, encode, scan = (float(cell.split()[0]) for cell in row[2:9])
        assert min(main, read, write, decode, scan) > 0 and (encode > 0, pool > 0) == ("mp4" in row[1], "png" in row[1])


def test_reading_backwards_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["backward", "--quick", "--clips", "GIF", "TS"])
    backward.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if " 150 " in line]
    assert [row[0].strip() for row in rows] == ["GIF", "TS"]
    assert all(float(cell.split()[0]) > 0 for row in rows for cell in row[2:])
