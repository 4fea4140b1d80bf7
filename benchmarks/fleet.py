"""Many small clips on two workers of Ray, undisturbed and disturbed, beside plain processes; and Ray's memory.

    python -m benchmarks.fleet [--quick]

200 clips of 8 frames, the demo model, one thread a process (20 clips with `--quick`); one more clip is a broken file,
one has a click outside. Each way carries out the same manifest: clips a minute from the start of the command to its
end, loading included. Disturbed, one worker is killed after a quarter, the driver after a half, and the command is
started again: whatever is not as it should be (done twice, lost, another result than that of a single run) ends this
with 1. Then 1,000 rows of one image each (100): resident memory of `batch` without Ray, of Ray's driver, and what lies
in Ray's object store, at a tenth and at the end. Ray's environment is that of `make .integrations/ray/installed`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clips import encode_image, numbered_frames, write_clip
from tests.integrations.processes import ROOT, wait_for
from tests.integrations.ray_runs import RayRun, alive, descendants, workers_of

FRAMES, WIDTH, HEIGHT = 8, 320, 180
CLICK: dict[str, Any] = {"click_coordinates": "[100,80]", "output_format": "png", "mask_type": "binary"}
PROCESSES = ["xargs", "-P", "2", "-I{}", "sh", "-c"]
OWN = f"{sys.executable} -m sam2_cog"
Rows = list[dict[str, Any]]


def main(arguments: list[str]) -> int:
    """Measure each way and print a row for it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    scale = 10 if parser.parse_args(arguments).quick else 1
    with tempfile.TemporaryDirectory(prefix="fleet-", dir="/tmp") as place:
        folder = Path(place)
        clips = make_clips(folder, 200 // scale)
        wrong = [{"id": "broken", "video": str(folder / "broken.mp4"), **CLICK}]
        wrong += [{"id": "outside", "video": clips[0]["video"], **CLICK, "click_coordinates": "[900,900]"}]
        rows = [*clips[: len(clips) // 2], *wrong, *clips[len(clips) // 2 :]]
        print("way | clips | seconds | clips a minute", flush=True)
        alone = timed("a process for each clip, xargs -P 2", clips[:20], lambda: by_clip(folder / "alone", clips[:20]))
        timed("a process for each shard, xargs -P 2", rows, lambda: by_shard(folder / "shards", rows))
        timed("ray, 2 workers", rows, lambda: by_ray(folder, "ray", rows).finish())
        disturbed = by_ray(folder, "disturbed", rows)
        timed("ray, a worker and the driver killed", rows, lambda: disturb(disturbed, len(rows)))
        faults = judge(disturbed, clips, folder, alone)
        memory(folder, 1000 // scale)
    print("\n".join(faults) or f"{len(clips)} done once each, 2 failed, results equal byte for byte")
    return 1 if faults else 0


def make_clips(folder: Path, count: int) -> Rows:
    """Clips that differ in their first frame, as rows of a manifest."""
    (folder / "broken.mp4").write_text("no video")
    frames = numbered_frames(FRAMES + 50, WIDTH, HEIGHT)
    for number in range(50):
        write_clip(folder / f"clip_{number}.mp4", frames[number : number + FRAMES])
    return [{"id": f"{n:03}", "video": str(folder / f"clip_{n % 50}.mp4"), **CLICK} for n in range(count)]


def timed(way: str, rows: Rows, carry_out: Callable[[], Any]) -> Any:
    begin = time.monotonic()
    found = carry_out()
    seconds = time.monotonic() - begin
    print(f"{way} | {len(rows)} | {seconds:.1f} | {60 * len(rows) / seconds:.1f}", flush=True)
    return found


def by_clip(folder: Path, rows: Rows) -> Path:
    """`segment`, once for each row; where the results are."""
    folder.mkdir()
    lines = [
        f"{OWN} segment {row['video']} --model demo --output-format png --mask-type binary "
        f"--click-coordinates {row['click_coordinates']} --output {folder}/{row['id']}.zip"
        for row in rows
    ]
    plain(lines)
    return folder


def by_shard(folder: Path, rows: Rows) -> None:
    """`batch` on each of two parts."""
    manifest = write_manifest(folder, rows)
    plain([f"{OWN} batch {manifest} --output {folder}/out --model demo --shard {index}/2" for index in (0, 1)])


def plain(lines: list[str]) -> None:
    """Two processes at a time."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*PROCESSES, "{} >/dev/null 2>&1"]
    subprocess.run(command, input="\n".join(lines), text=True, env=environment, check=False)


def by_ray(folder: Path, name: str, rows: Rows) -> RayRun:
    """`batch --ray` in a folder of its own; Ray's files lie above it, because the path of a socket must be short."""
    write_manifest(folder / name, rows)
    return RayRun(folder / name, folder, "--workers", "2")


def disturb(run: RayRun, rows: int) -> None:
    """Kill a worker after a quarter and the driver after a half; then run the command again."""
    with run.running() as driver:
        run.wait_for("done", rows // 4)
        wait_for(lambda: bool(workers_of(driver)), 60, run.log)
        os.kill(workers_of(driver)[0], signal.SIGKILL)
        run.wait_for("done", rows // 2)
        workers = workers_of(driver)
        driver.kill()
        driver.wait()
        wait_for(lambda: not any(map(alive, workers)), 60)
    run.finish()


def judge(run: RayRun, clips: Rows, folder: Path, alone: Path) -> list[str]:
    """What is not as it should be, as sentences."""
    names = {row["id"] for row in clips}
    done, failed, started = run.count("done"), run.count("failed"), run.count("started")
    faults = [f"{name}: done {done[name]} times" for name in sorted(names) if done[name] != 1]
    again = sum(started[name] - 1 for name in names)
    faults += [] if again <= 3 else [f"{again} clips were started again, but only 3 were in work when something died"]
    faults += [] if set(failed) == {"broken", "outside"} else [f"failed: {dict(failed)}"]
    out = run.log.parent / "out"
    for others in (alone, folder / "shards/out", folder / "ray/out"):
        for path in others.glob("*.zip"):
            if path.read_bytes() != (out / path.name).read_bytes():
                faults.append(f"{path.name}: not that of {others}")
    return faults


def memory(folder: Path, count: int) -> None:
    """Print what is held at a tenth and at the end of many rows of one small image, without Ray and with it."""
    (folder / "image.png").write_bytes(encode_image(numbered_frames(1, 64, 48)[0]))
    click = {"video": str(folder / "image.png"), "click_coordinates": "[30,20]"}
    rows = [{"id": str(number), **click} for number in range(count)]
    memory_alone(folder / "alone_images", rows)
    memory_on_ray(folder, rows)


def memory_alone(folder: Path, rows: Rows) -> None:
    """One process, the model included."""
    command = f"{OWN} batch {write_manifest(folder, rows)} --output {folder}/out --model demo".split()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    print("images done | batch without Ray, MiB")
    status = folder / "out/status.jsonl"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for part in (len(rows) // 10, len(rows) // 2, len(rows)):
            done = resident = 0
            while done < part and process.poll() is None:
                resident = field(process.pid, "VmRSS")
                done = status.read_text().count('"status": "done"') if status.exists() else 0
                time.sleep(0.05)
            print(f"{done} | {resident / 1024:.0f}", flush=True)


def memory_on_ray(folder: Path, rows: Rows) -> None:
    """The driver and the object store."""
    run = by_ray(folder, "images", rows)
    print("images done | driver, MiB | object store, KiB | all of Ray beside the workers, MiB")
    with run.running() as driver:
        for part in (len(rows) // 10, len(rows)):
            while run.count("done").total() < part - 5 and driver.poll() is None:
                time.sleep(0.1)
            print(f"{run.count('done').total()} | {' | '.join(held(driver.pid))}", flush=True)
        driver.wait()


def held(driver: int) -> tuple[str, str, str]:
    """Resident memory of the driver; shared memory of Ray's node, which is its object store; the other processes."""
    below = {pid: name_of(pid) for pid in descendants(driver)}
    store = max((field(pid, "RssShmem") for pid in below), default=0)
    others = sum(field(pid, "VmRSS") for pid, name in below.items() if "Worker" not in name)
    return f"{field(driver, 'VmRSS') / 1024:.0f}", f"{store}", f"{others / 1024:.0f}"


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]
    except OSError:
        return ""


def field(pid: int, name: str) -> int:
    """A line of /proc/PID/status, in KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)


def write_manifest(folder: Path, rows: Rows) -> Path:
    folder.mkdir()
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
