"""`python -m benchmarks.gpu`, on the CPU and small, so that it works on the day when a GPU is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.paper import gflop, peak_of, share_of_limit
from benchmarks.gpu.schedule import Part, parts

ROOT = Path(__file__).parent.parent


def run(folder: Path, *arguments: str) -> str:
    """What is printed, which the file must hold, too."""
    out = folder / "gpu.md"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert out.read_text(encoding="utf-8") == done.stdout
    return done.stdout


def test_every_part_runs(tmp_path: Path) -> None:
    report = run(tmp_path, "--minutes", "4")
    for failure in ("not finished", "not reached", "DIFFERS"):
        assert failure not in report
    for title in {part.title for part in parts("cpu", quick=True)}:
        assert f"\n## {title}\n" in report
    assert "| float32 with the official predictor | 1 jobs (1 equal to the last bit), 36864 pixels | equal: " in report
    assert "| resize 64x36 with Pillow | 12288 values | equal |" in report
    assert report.count("| demo | 96x64 |") == 4
    assert "| on: MP4 to highlighted MP4 | 1 |" in report and "| demo, the product |" in report


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    report = run(tmp_path, "--minutes", "0")
    assert report.count("not reached: ") == len(list(parts("cpu", quick=True)))


def test_a_part_that_fails_or_hangs_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Part("", "this one", 9, ("benchmarks.gpu.speed", "demo", "nobody"))
    (line,) = gpu._run(failing, 60)
    assert line.startswith("not finished: this one: ") and "nobody" in line
    monkeypatch.setattr(gpu, "LEAST_SECONDS", 0.5)
    (line,) = gpu._run(Part("", "a long one", 0.5, ("timeit", "import time", "time.sleep(60)")), 60)
    assert line == "not finished: a long one: stopped after 0 s"


def test_a_part_that_could_not_be_made_quicker_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud.py").write_text(
        "import logging; print('| row |'); logging.warning('the step runs as it is: why')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert list(gpu._run(Part("", "loud one", 20, ("loud",)), 60)) == [
        "| row |",
        "note: loud one: WARNING:root:the step runs as it is: why",
    ]


def test_one_part_can_run_alone(tmp_path: Path) -> None:
    report = run(tmp_path, "--minutes", "0", "--parts", "ready")
    assert report.endswith("\n## Ready\n\nnot reached: ready\n") and report.count("## ") == 1


def test_the_gpu_gets_all_that_the_cpu_gets_and_more() -> None:
    quick = [part.name.replace("demo", "large") for part in parts("cpu", quick=True)]
    whole = [part.name for part in parts("cuda", quick=False)]
    assert set(quick) < set(whole) and "tiny, ours" in whole and "large, official, vos_optimized" in whole
    assert all("cuda" in part.command for part in parts("cuda", quick=False))


def test_the_limit_on_paper() -> None:
    assert gflop("large", 1) == pytest.approx(2444, abs=1) and gflop("large", 16) == pytest.approx(11451, abs=1)
    assert gflop("demo", 1) is None
    assert (peak_of("NVIDIA H100 80GB HBM3"), peak_of("NVIDIA H100 PCIe")) == (989, 756)
    assert (peak_of("NVIDIA L40S"), peak_of("NVIDIA L4"), peak_of("CPU")) == (362, 121, None)
    # 125 frames/s of `large` on an H100 are 31 % of its peak, as the official predictor reaches on an A100
    assert share_of_limit("large", 1, 125, "NVIDIA H100 80GB HBM3") == pytest.approx(0.31, abs=0.005)
    assert share_of_limit("demo", 1, 125, "NVIDIA H100 80GB HBM3") is None
