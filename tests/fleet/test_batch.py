"""Many clips on one model: what is done, what has failed and why, and what a second run still does."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_cog.engine.model import LoadedModel
from sam2_cog.fleet import batch
from sam2_cog.fleet.batch import DIED, DeviceBroken, run_batch
from sam2_cog.fleet.manifest import read_manifest
from sam2_cog.fleet.status import Event, Status, left_to_do
from sam2_cog.fleet.storage import Results
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.clips import encode_image, numbered_frames, write_clip, write_zip
from tests.label_studio.file_server import file_server
from tests.program import program

Rows = list[dict[str, Any]]
Run = Callable[[Rows], list[Event]]


@pytest.fixture
def run(tmp_path: Path, small_model: LoadedModel) -> Run:
    """Carry out rows in the test's own folder, with results in `out`; returns the last event of each clip."""

    def run_rows(rows: Rows) -> list[Event]:
        manifest = tmp_path / "jobs.jsonl"
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        results, events = Results(str(tmp_path / "out")), list[Event]()
        with Status(results.path("status.jsonl")) as status:
            jobs = left_to_do(read_manifest(manifest), status, results)
            run_batch(jobs, small_model, status, results, events.append)
        return events

    return run_rows


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Two images and a clip of three frames."""
    for number, image in enumerate(numbered_frames(2, 64, 48)):
        (tmp_path / f"image_{number}.png").write_bytes(encode_image(image))
    write_clip(tmp_path / "clip.mp4", numbered_frames(3, 64, 48))
    return [{"video": name, "click_coordinates": "[30,20]"} for name in ("image_0.png", "clip.mp4", "image_1.png")]


def test_the_results_are_those_of_single_runs_byte_for_byte(
    run: Run, rows: Rows, tmp_path: Path, small_model: LoadedModel
) -> None:
    events = run([row | {"output_format": "png"} for row in rows])
    assert [(event.id, event.status, event.frames) for event in events] == [
        ("image_0", "done", 1),
        ("clip", "done", 3),
        ("image_1", "done", 1),
    ]
    alone = tmp_path / "alone.zip"
    segment_video(Request(tmp_path / "clip.mp4", "[30,20]", output_format="png"), small_model, alone)
    assert (tmp_path / "out/clip.zip").read_bytes() == alone.read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.zip",
        "image_0.png",
        "image_1.png",
        "status.jsonl",
    ]


def test_a_row_gives_the_kind_of_file_that_its_input_gives(
    run: Run, rows: Rows, tmp_path: Path, small_model: LoadedModel
) -> None:
    """Byte for byte as a single run, and done once: a photo, several objects' masks, shots, images of several sizes."""
    clip, image = ((tmp_path / name).read_bytes() for name in ("clip.mp4", "image_0.png"))
    write_zip(tmp_path / "shots.zip", [("1.mp4", clip), ("2.mp4", clip)])
    write_zip(tmp_path / "photos.zip", [("a.png", image), ("b.png", encode_image(numbered_frames(1, 32, 24)[0]))])
    two = {"mask_type": "binary", "click_coordinates": "[30,20],[50,40]"}
    given = {
        "photo.jpg": {"video": "image_0.png", "output_format": "jpg"},
        "mask.png": {"video": "image_0.png", "output_format": "webp", "mask_type": "binary"},
        "masks.zip": {"video": "image_0.png", "output_format": "png"} | two,
        "shots.zip": {"video": "shots.zip"},
        "photos.zip": {"video": "photos.zip", "output_format": "png"},
    }
    of_id: dict[str, dict[str, Any]] = {
        name: {"id": name.partition(".")[0], "click_coordinates": "[30,20]"} | row for name, row in given.items()
    }
    events = run(list(of_id.values()))
    assert [(event.status, event.output, event.error) for event in events] == [("done", name, "") for name in given]
    assert not run(list(of_id.values()))
    for name, row in of_id.items():
        request = Request(tmp_path / row.pop("video"), **{key: row[key] for key in row if key != "id"})
        (tmp_path / "alone").mkdir(exist_ok=True)
        segment_video(request, small_model, tmp_path / "alone" / name)
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    (tmp_path / "out/photo.jpg").unlink()
    assert [event.id for event in run([of_id["mask.png"] | {"video": "image_0.png"}])] == []
    assert [event.output for event in run([of_id["photo.jpg"] | {"video": "image_0.png"}])] == ["photo.jpg"]


def test_a_result_never_takes_the_place_of_its_own_video(run: Run, rows: Rows, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "clip.mp4").rename(tmp_path / "out/clip.mp4")
    before = (tmp_path / "out/clip.mp4").read_bytes()
    (event,) = run([rows[1] | {"video": "out/clip.mp4"}])
    assert event.error == "output: 'clip.mp4' is the video itself, it must be another file"
    assert (tmp_path / "out/clip.mp4").read_bytes() == before


def test_a_bad_row_fails_with_its_sentence_and_the_others_are_done(run: Run, rows: Rows, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    bad = [
        {"video": "broken.mp4", "click_coordinates": "[30,20]"},
        {"id": "outside", "video": "clip.mp4", "click_coordinates": "[300,20]"},
        {"id": "gone", "video": "gone.mp4", "click_coordinates": "[30,20]"},
    ]
    events = {event.id: event for event in run(bad + rows)}
    assert "broken.mp4 cannot be read" in events["broken"].error
    assert "point 1 is at [300, 20]" in events["outside"].error
    assert "gone.mp4 does not exist" in events["gone"].error
    assert [event.status for event in events.values()] == ["failed"] * 3 + ["done"] * 3


def test_run_again_only_what_is_missing_or_changed_or_failed_runs(run: Run, rows: Rows, tmp_path: Path) -> None:
    failing = {"id": "outside", "video": "clip.mp4", "click_coordinates": "[300,20]"}
    assert len(run([*rows, failing])) == 4
    assert [event.id for event in run([*rows, failing])] == ["outside"]
    (tmp_path / "out/clip.mp4").unlink()
    changed = rows[2] | {"output_quality": 20}
    assert {event.id for event in run([rows[0], rows[1], changed])} == {"clip", "image_1"}
    assert run([rows[0], rows[1], changed]) == []


def test_a_file_that_is_now_another_clips_is_not_taken_for_the_result(run: Run, rows: Rows, tmp_path: Path) -> None:
    """What a file is called depends on the other rows where ids are alike but for their case."""
    capital, small = rows[1] | {"id": "Dog"}, rows[1] | {"id": "dog", "click_coordinates": "[10,10]"}
    assert [event.output for event in run([capital, small])] == ["Dog.mp4", "dog_2.mp4"]
    assert [event.output for event in run([small, capital])] == ["dog.mp4", "Dog_2.mp4"]
    assert run([small, capital]) == []
    slashed, plain = small | {"id": "a/b"}, capital | {"id": "a_b"}
    assert [run([row])[0].output for row in (slashed, plain)] == ["a_b.mp4", "a_b.mp4"]
    assert [event.id for event in run([slashed])] == ["a/b"], "the other one took its place"


def test_a_clip_whose_process_died_is_tried_once_more_and_then_has_failed(run: Run, rows: Rows, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "jobs.jsonl").write_text(json.dumps(rows[1]) + "\n")
    (job,) = read_manifest(tmp_path / "jobs.jsonl")
    with Status(tmp_path / "out/status.jsonl") as status:
        status.add(Event(job.name, "started", job.digest, 1))
    with (tmp_path / "out/status.jsonl").open("ab") as file:
        file.write(b'{"id": "clip", "sta')  # what a killed process leaves
    with Status(tmp_path / "out/status.jsonl") as status:
        assert status.attempts("clip", job.digest) == 1
        status.add(Event(job.name, "started", job.digest, 2))
    (event,) = run(rows[1:2])
    assert (event.status, event.error) == ("failed", DIED)
    assert [event.status for event in run(rows[1:2])] == ["done"], "a run that somebody starts anew tries again"


def test_the_end_of_who_hands_out_clips_is_no_death_of_a_worker(tmp_path: Path) -> None:
    with Status(tmp_path / "status.jsonl") as status:
        for what, attempt, deaths in (("started", 1, 0), ("died", 1, 1), ("started", 2, 1), ("died", 2, 2)):
            status.add(Event("clip", what, "digest", attempt))
            assert status.deaths("clip", "digest") == deaths
            assert status.deaths("clip", "another digest") == status.deaths("other", "digest") == 0
        status.add(Event("clip", "stopped", "digest", 2))
        assert status.deaths("clip", "digest") == 0


def test_an_error_of_our_own_is_a_failed_clip_and_a_broken_gpu_ends_the_process(
    run: Run, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(batch, "segment_video", fail)
    message = "something odd\nand more"
    assert [event.error for event in run(rows)] == ["RuntimeError: something odd"] * 3
    message = "CUDA error: device-side assert triggered"
    with pytest.raises(DeviceBroken):
        run(rows)


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Status(tmp_path / "status.jsonl"), pytest.raises(Exception, match="in use by another run"):
        Status(tmp_path / "status.jsonl").__enter__()


def test_clips_and_results_may_be_at_addresses(rows: Rows, tmp_path: Path, small_model: LoadedModel) -> None:
    """`memory://` is a store of fsspec like any other."""
    import fsspec

    store = fsspec.filesystem("memory")
    store.put_file(str(tmp_path / "clip.mp4"), "memory://clips/clip.mp4")
    manifest = tmp_path / "jobs.jsonl"
    found = {"video": "memory://clips/clip.mp4", "click_coordinates": "[30,20]"}
    missing = found | {"video": "memory://clips/gone.mp4"}
    manifest.write_text(json.dumps(found) + "\n" + json.dumps(missing))
    results, events = Results("memory://results/one"), list[Event]()
    try:
        with Status(results.path("status.jsonl")) as status:
            run_batch(read_manifest(manifest), small_model, status, results, events.append)
            assert [event.status for event in events] == ["done", "failed"]
            assert "memory://clips/gone.mp4 cannot be fetched" in events[1].error
            assert [job.name for job in left_to_do(read_manifest(manifest), status, results)] == ["gone"]
        assert store.exists("memory://results/one/clip.mp4")
    finally:
        results.close()
    assert not results.folder.exists()


def test_files_beside_the_video_are_fetched_too(run: Run, rows: Rows, tmp_path: Path) -> None:
    """The picture and its mask have one name, in two folders."""
    import fsspec

    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    store = fsspec.filesystem("memory")
    for source, target in (("image_0.png", "frames/0.png"), ("mask.png", "masks/0.png")):
        store.put_file(str(tmp_path / source), f"memory://{target}")
    found = {"id": "found", "video": "memory://frames/0.png", "masks": "memory://masks/0.png", "output_format": "png"}
    done, failed = run([found, found | {"id": "gone", "masks": "memory://masks/gone.png"}])
    assert (done.status, done.objects) == ("done", 1), done
    assert failed.error.startswith("masks: memory://masks/gone.png cannot be fetched")


def test_https_is_fetched_and_a_signature_is_told_nobody(run: Run, rows: Rows, tmp_path: Path) -> None:
    with file_server() as server:
        server.files["/clip.mp4?signature=secret"] = (tmp_path / "clip.mp4").read_bytes()
        found = rows[1] | {"video": f"{server.url}/clip.mp4?signature=secret"}
        done, gone = run([found, found | {"id": "gone", "video": f"{server.url}/gone.mp4?signature=secret"}])
        server.breaks_off = True
        (half,) = run([found | {"id": "half"}])
    assert (done.status, done.frames, done.output) == ("done", 3, "clip.mp4")
    assert gone.error.startswith(f"video: {server.url}/gone.mp4 cannot be fetched: the server answers 404")
    assert half.error.startswith(f"video: {server.url}/clip.mp4 cannot be fetched: ")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames: seconds of work."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", numbered_frames(60, 64, 48))


COMMAND = ("batch", "jobs.jsonl", "--output", "out", "--model", "demo")


def test_a_killed_run_loses_the_clip_in_work_alone(rows: Rows, tmp_path: Path, long_clip: Path) -> None:
    """The command line, SIGKILL in the middle, and the same command again."""
    jobs = [rows[0], {"video": str(long_clip), "click_coordinates": "[30,20]"}, rows[2]]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in jobs))
    status = tmp_path / "out/status.jsonl"
    with program(*COMMAND, folder=tmp_path) as it:
        it.until(lambda: status.exists() and b'"long", "status": "started"' in status.read_bytes())
        it.send_signal(signal.SIGKILL)
        assert it.wait() == -signal.SIGKILL
    with program(*COMMAND, folder=tmp_path) as again:
        assert again.wait() == 0, again.errors
        assert "done 2, failed 0, done before 1" in again.output
    events = [json.loads(line) for line in status.read_text().splitlines()]
    done = [(event["id"], event["attempt"]) for event in events if event["status"] == "done"]
    assert done == [("image_0", 1), ("long", 2), ("image_1", 1)]


def test_what_a_killed_run_has_fetched_goes_with_the_next_run(rows: Rows, tmp_path: Path, long_clip: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with file_server() as server:
        server.files["/long.mp4"] = long_clip.read_bytes()
        (tmp_path / "jobs.jsonl").write_text(json.dumps(rows[0] | {"video": f"{server.url}/long.mp4"}))
        with program(*COMMAND, folder=tmp_path, TMPDIR=str(temporary)) as it:
            it.until(lambda: list((tmp_path / "out").glob(".*.part")))
            it.send_signal(signal.SIGKILL)
        assert list(temporary.glob("*/video/long.mp4"))
        with program(*COMMAND, folder=tmp_path, TMPDIR=str(temporary)) as again:
            assert again.wait() == 0
    assert not list(temporary.iterdir())


def test_a_killed_run_goes_on_within_the_clip(
    rows: Rows, tmp_path: Path, long_clip: Path, demo_model: LoadedModel
) -> None:
    """SIGKILL twice in one clip, which got further each time, and the same command again: the bytes of a single run."""
    jobs = [{"video": str(long_clip), "click_coordinates": "[30,20]"}, rows[2]]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in jobs))
    command = (*COMMAND, "--checkpoint", "0.1")
    state, seen = tmp_path / "out/.long.mp4.checkpoint/state", b""
    for _ in range(2):
        with program(*command, folder=tmp_path) as it:
            it.until(lambda seen=seen: state.exists() and state.read_bytes() != seen)  # type: ignore[misc]
            it.send_signal(signal.SIGKILL)
            assert it.wait() == -signal.SIGKILL
        seen = state.read_bytes()
    with program(*command, folder=tmp_path) as again:
        assert again.wait() == 0, again.output + again.errors
        assert "long.mp4: goes on from its checkpoint" in again.errors and "done 2, failed 0" in again.output
    segment_video(Request(long_clip, "[30,20]"), demo_model, tmp_path / "alone.mp4")
    assert (tmp_path / "out/long.mp4").read_bytes() == (tmp_path / "alone.mp4").read_bytes()
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"long.mp4", "image_1.mp4", "status.jsonl"}
    assert not state.parent.exists()


def test_a_death_counts_only_where_the_clip_got_no_further(tmp_path: Path) -> None:
    with Status(tmp_path / "status.jsonl") as status:
        status.add(Event("clip", "started", "digest", 1, saved=5))
        assert status.attempts("clip", "digest", 5) == 1
        assert status.attempts("clip", "digest", 6) == 0
    with Status(tmp_path / "status.jsonl") as status:
        assert status.attempts("clip", "digest", 5) == 1
