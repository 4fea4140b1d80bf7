"""Many mixed predictions on one server: does its memory, do its handles, processes and files stay what they were?

    python -m benchmarks.soak [COUNT]

Starts Cog's real server with the demo model, and sends it videos, images, archives, refusals and cancels in turn, each
kind as often. Prints a row every so often: resident memory of the worker and of the server, open files and threads of
the worker, all processes, files and bytes in the temporary folder. It exits with 1 where the last row differs from the
one after a tenth: memory by more than 2 %, the rest at all.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tests.clips import encode_image, frame_zip, numbered_frames, write_clip
from tests.server.cog_server import Server, cog_command, data_url, processes, serving

TOLERANCE = 0.02


@dataclass(frozen=True)
class Row:
    """What the service holds after `predictions`."""

    predictions: int
    seconds: float
    worker_MiB: float
    server_MiB: float
    handles: int
    threads: int
    processes: int
    files: int
    disk_KiB: float


def main(count: int) -> int:
    """Run `count` predictions; returns the exit code."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with serving(folder / "home", cog_command()) as server:
            rows = measure(server, requests(server, folder), count)
    early, last = rows[0], rows[-1]
    grown = last.worker_MiB / early.worker_MiB - 1
    print(f"memory of the worker from prediction {early.predictions} to {last.predictions}: {grown:+.1%}")
    same = (early.handles, early.processes, early.files) == (last.handles, last.processes, last.files)
    return 0 if grown <= TOLERANCE and same else 1


def measure(server: Server, kinds: list[Callable[[], None]], count: int) -> list[Row]:
    """A row after each tenth of the predictions, always after one of the same kind."""
    print(" | ".join(item.name for item in fields(Row)))
    rows, begin, step = [], time.monotonic(), max(len(kinds), count // 10 // len(kinds) * len(kinds))
    for number in range(count):
        kinds[number % len(kinds)]()
        if (number + 1) % step == 0:
            server.works()  # the same result lies there each time
            rows.append(look(server, number + 1, time.monotonic() - begin))
            print(" | ".join(f"{value:.0f}" for value in astuple(rows[-1])), flush=True)
    return rows


def look(server: Server, done: int, seconds: float) -> Row:
    worker = server.worker()
    files = [path for path in server.scratch.rglob("*") if path.is_file()]
    return Row(
        done,
        seconds,
        resident_MiB(worker),
        resident_MiB(server.process.pid),
        len(os.listdir(f"/proc/{worker}/fd")),
        len(os.listdir(f"/proc/{worker}/task")),
        len(processes(server.process.pid)),
        len(files),
        sum(path.stat().st_size for path in files) / 1024,
    )


def resident_MiB(process: int) -> float:
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def requests(server: Server, folder: Path) -> list[Callable[[], None]]:
    """Predictions of each kind."""
    clip = write_clip(folder / "clip.mp4", numbered_frames(6, 96, 64), audio_seconds=1)
    large = write_clip(folder / "large.mkv", numbered_frames(2, 1280, 720), codec="ffv1", pix_fmt="bgr0")
    archive = frame_zip(folder / "frames.zip", numbered_frames(4, 96, 64))
    image = folder / "image.png"
    image.write_bytes(encode_image(numbered_frames(1, 320, 240)[0]))
    noise = folder / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 99)
    long = write_clip(folder / "long.mp4", numbered_frames(2000, 32, 32))
    many = ",".join(f"[{10 + 5 * n},30]" for n in range(15))

    def succeed(*given: object, **inputs: object) -> Callable[[], None]:
        return lambda: check(server, "succeeded", *given, **inputs)

    return [
        succeed(clip),
        succeed(clip, click_frames="4", mask_type="binary", output_format="png"),
        succeed(data_url(clip), annotation_type="both", click_object_ids="a name"),
        succeed(archive, output_format="webp", mask_type="greenscreen"),
        succeed(image, output_format="jpg"),
        succeed(large, click_coordinates="[300,300],[700,400]"),
        succeed(clip, click_coordinates=many),
        lambda: check(server, "failed", noise),
        lambda: check(server, "failed", clip, click_frames="99"),
        lambda: cancel(server, long),
    ]


def check(server: Server, expected: str, video: object, **inputs: object) -> None:
    status, body = server.predict(video, **inputs)
    assert (status, body["status"]) == (200, expected), str(body)[:300]


def cancel(server: Server, video: Path) -> None:
    """Begin a prediction of some seconds, and end it."""
    body = {"id": "soak", "input": {"video": str(video), "click_coordinates": "[10,20]"}}
    begin = lambda: server.call("/predictions", body, Prefer="respond-async")  # noqa: E731
    assert server.patiently(begin, lambda answer: answer[0] != 409)[0] == 202
    time.sleep(0.5)
    assert server.call("/predictions/soak/cancel", {})[0] == 200


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
