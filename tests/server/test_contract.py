"""What a client may rely on: Cog's HTTP protocol, as this predictor keeps it."""

import base64
import http.client
import json
import os
import re
import signal
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from sam2_cog.media.video import probe
from tests.clips import frame_zip, numbered_frames, write_clip
from tests.server.cog_server import Answer, Counterpart, Server, cog_command, content, data_url, refusal, serving


def test_it_says_that_it_is_ready(server: Server) -> None:
    server.wait_until_ready()  # for a moment after an answer it is busy
    status, body = server.call("/health-check")
    assert (status, body["status"], body["setup"]["status"]) == (200, "READY", "succeeded")


def test_an_answer_is_an_mp4(server: Server, small_clip: Path, tmp_path: Path) -> None:
    answer = server.predict(small_clip)
    path = tmp_path / "answer.mp4"
    path.write_bytes(content(answer, "video/mp4"))
    info = probe(path)
    assert (info.frame_count, info.width, info.height, info.has_audio) == (6, 96, 64, True)


def test_the_logs_hold_what_was_lost(server: Server, tmp_path: Path) -> None:
    video = frame_zip(tmp_path / "a.zip", numbered_frames(2, 96, 64))
    with zipfile.ZipFile(video, "a") as archive:
        archive.writestr("notes.txt", "x")
    _, answer = server.predict(video, click_coordinates="[30,40]")
    assert "holds 1 other file, which was ignored (notes.txt)" in answer["logs"], answer


def test_the_logs_hold_progress_and_the_metrics_times(server: Server, small_clip: Path) -> None:
    _, body = server.predict(small_clip, click_coordinates="[30,40],[60,50]")
    assert body["logs"].splitlines()[0] == "small.mp4: 6 frames, 96x64, 2 objects"
    assert "of 7 (100 %)" in body["logs"].splitlines()[-1]  # the prompt frame is read once more
    metrics = body["metrics"]
    assert (metrics["frames"], metrics["objects"]) == (6, 2)
    seconds = [metrics[f"{part}_seconds"] for part in ("decode", "network", "paint", "encode")]
    assert all(value > 0 for value in seconds)
    assert metrics["decode_seconds"] + metrics["network_seconds"] <= metrics["seconds"] <= metrics["predict_time"]


def test_an_answer_of_a_photo_is_a_photo(server: Server, tmp_path: Path) -> None:
    Image.fromarray(numbered_frames(1, 96, 64)[0]).save(tmp_path / "photo.png")
    given = {"click_coordinates": "[30,40]", "mask_type": "cutout", "output_format": "png"}
    with Image.open(BytesIO(content(server.predict(tmp_path / "photo.png", **given), "image/png"))) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (96, 64))


def test_an_answer_is_a_zip(server: Server, small_clip: Path) -> None:
    given = {"mask_type": "binary", "output_format": "png", "output_frame_interval": 2}
    data = content(server.predict(small_clip, click_object_ids="dog", **given), "application/zip")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        masks = [f"masks/dog/{frame:05d}.png" for frame in (0, 1, 2)]
        assert sorted(archive.namelist()) == ["manifest.json", *masks]
        assert json.loads(archive.read("manifest.json"))["model"] == "demo"


def test_masks_and_boxes_are_further_files(server: Server, small_clip: Path, tmp_path: Path) -> None:
    given = {"mask_type": "binary", "output_format": "png", "click_object_ids": "card"}
    masks = tmp_path / "masks.zip"
    masks.write_bytes(content(server.predict(data_url(small_clip), **given), "application/zip"))
    again = given | {"click_coordinates": "", "click_object_ids": "", "masks": data_url(masks), "mask_frames": "0"}
    with zipfile.ZipFile(BytesIO(content(server.predict(data_url(small_clip), **again), "application/zip"))) as archive:
        assert [one["name"] for one in json.loads(archive.read("manifest.json"))["objects"]] == ["card"]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("2,card,10,10,60,50")
    content(server.predict(data_url(small_clip), click_coordinates="", boxes=data_url(boxes)), "video/mp4")
    message = refusal(server.predict(data_url(small_clip), **again | {"mask_frames": "6"}))
    assert message == "InvalidRequest: mask_frames: it has frame 6, but the video has frames 0 to 5"
    assert refusal(server.predict(data_url(small_clip), masks="/etc/passwd")).startswith(
        "InvalidRequest: masks: it must be an address (https://...) or a data URL"
    )


def test_a_video_may_come_in_the_request(server: Server, small_clip: Path) -> None:
    assert content(server.predict(data_url(small_clip)), "video/mp4")
    assert [name for name in server.left_behind() if not name.endswith(".mp4")] == []


def test_a_video_may_lie_at_an_address_with_or_without_a_suffix(
    server: Server, client: Counterpart, small_clip: Path
) -> None:
    client.files |= {"/clip": small_clip.read_bytes(), "/clip.mp4?key=1": small_clip.read_bytes()}
    for path in client.files:
        assert content(server.predict(client.address + path), "video/mp4")


def test_only_the_last_result_is_kept_and_each_has_a_name_of_its_own(server: Server, small_clip: Path) -> None:
    names = []
    for _ in range(2):
        content(server.predict(small_clip), "video/mp4")
        (left,) = server.left_behind()
        names.append(left)
    assert all(name.endswith(".mp4") for name in names) and names[0] != names[1]


def test_a_put_answers_under_the_name_that_it_gives(server: Server, small_clip: Path) -> None:
    body = {"input": {"video": str(small_clip), "click_coordinates": "[30,40]"}}
    put = lambda: server.call("/predictions/mine", body, "PUT")  # noqa: E731
    status, answer = server.patiently(put, lambda answer: answer[0] != 409)
    assert (status, answer["id"], answer["status"]) == (200, "mine", "succeeded")


def test_an_asynchronous_prediction_calls_back(server: Server, client: Counterpart, small_clip: Path) -> None:
    before = len(client.received)
    body = {
        "input": {"video": str(small_clip), "click_coordinates": "[30,40]"},
        "webhook": f"{client.address}/hook",
        "webhook_events_filter": ["completed"],
    }
    start = lambda: server.call("/predictions", body, Prefer="respond-async")  # noqa: E731
    assert server.patiently(start, lambda answer: answer[0] != 409)[0] == 202
    server.patiently(lambda: client.received[before:], bool)
    path, sent = client.received[-1]
    assert path == "/hook" and json.loads(sent)["status"] == "succeeded"


def start_long(server: Server, folder: Path, name: str) -> dict[str, Any]:
    """A prediction of minutes, begun: the next request is in time only if this one was really stopped."""
    clip = write_clip(folder / "long.mp4", numbered_frames(3000, 32, 32))
    body = {"id": name, "input": {"video": str(clip), "click_coordinates": "[10,20]"}}
    start = lambda: server.call("/predictions", body, Prefer="respond-async")  # noqa: E731
    assert server.patiently(start, lambda answer: answer[0] != 409)[0] == 202
    server.patiently(server.left_behind, lambda files: any(file.endswith(".part") for file in files))
    return body


def test_a_cancel_frees_the_slot_and_leaves_nothing_and_meanwhile_it_is_busy(server: Server, tmp_path: Path) -> None:
    body = start_long(server, tmp_path, "long")
    assert server.call("/predictions", body | {"id": "other"})[0] == 409
    assert server.call("/health-check")[1]["status"] == "BUSY"
    assert server.call("/predictions/long/cancel", {})[0] == 200
    begin = time.monotonic()
    server.patiently(server.left_behind, lambda files: files == [])
    server.works()
    assert time.monotonic() - begin < 30


def test_a_client_that_hangs_up_frees_the_slot(server: Server, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", numbered_frames(3000, 32, 32))
    body = {"input": {"video": str(clip), "click_coordinates": "[10,20]"}}
    server.patiently(lambda: server.call("/health-check")[1]["status"], lambda status: status == "READY")
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/predictions", json.dumps(body), {"Content-Type": "application/json"})
    server.patiently(server.left_behind, lambda files: any(file.endswith(".part") for file in files))
    connection.close()
    server.patiently(server.left_behind, lambda files: files == [])
    server.works()


def test_a_client_that_asks_again_after_409_is_served_in_a_moment(server: Server) -> None:
    """Cog sends the answer before it has the slot back; all that a client needs is to try again."""
    for _ in range(8):
        server.works()


def test_results_are_uploaded_under_a_name_of_their_own(
    bare_server: Server, client: Counterpart, small_clip: Path
) -> None:
    before = len(client.received)
    answers: list[Answer] = [bare_server.predict(small_clip) for _ in range(2)]
    assert [answer[1]["status"] for answer in answers] == ["succeeded"] * 2
    uploaded = client.received[before:]
    assert len({path for path, _ in uploaded}) == 2 and all(path.startswith("/uploads/") for path, _ in uploaded)
    assert all(b"ftyp" in body[:16] for _, body in uploaded)


def test_a_download_that_fails_or_breaks_off_leaves_nothing(server: Server, client: Counterpart) -> None:
    client.files |= {"/empty": b"", "/cut": bytes(100_000)}
    client.cut.add("/cut")
    for path, words in (("/missing", "404"), ("/cut", "IncompleteRead|bytes")):
        status, body = server.predict(client.address + path)
        assert (status, body["status"]) == (200, "failed") and re.search(words, body["error"]), body
    assert "is empty" in refusal(server.predict(f"{client.address}/empty"))
    server.works()
    assert len(server.left_behind()) == 1  # the result


def test_told_to_stop_it_answers_first_and_leaves_nothing(tmp_path: Path, small_clip: Path) -> None:
    with serving(tmp_path / "home", cog_command(), SAM2_LOCAL_FILES=str(small_clip.parent)) as server:
        connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=120)
        body = {"input": {"video": str(small_clip), "click_coordinates": "[30,40]"}}
        connection.request("POST", "/predictions", json.dumps(body), {"Content-Type": "application/json"})
        server.patiently(server.health, lambda status: status == "BUSY")
        os.kill(server.process.pid, signal.SIGTERM)
        answer = json.loads(connection.getresponse().read())
        assert answer["status"] == "succeeded" and base64.b64decode(answer["output"].partition(",")[2])
        assert server.process.wait(60) == 0
        server.patiently(lambda: list(server.scratch.iterdir()), lambda left: left == [])
