"""The real Label Studio with our backend: boxes through its API, in the interactive way and in batch."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.clips import numbered_frames, write_clip
from tests.integrations.birds import Box, box_iou, boxes
from tests.integrations.conftest import backend
from tests.integrations.label_studio import BLUE, FRAMES, HEIGHT, LEGACY, RATE, RED, WIDTH, Json, Project, Studio
from tests.integrations.processes import CLIP, Door, running
from tests.label_studio.file_server import file_server


@pytest.fixture(scope="module")
def project(studio: Studio, door: Door) -> Project:
    """The birds at their own rate, connected."""
    made = studio.project()
    made.connect(door.url)
    return made


def shown(region: Json) -> dict[int, Box]:
    """What the editor draws on each frame: lines between key frames, nothing after one that is switched off."""
    keys = {item["frame"]: item for item in region["value"]["sequence"]}
    found: dict[int, Box] = {}
    for frame in range(1, region["value"]["framesCount"] + 1):
        before = max((key for key in keys if key <= frame), default=0)
        after = min((key for key in keys if key >= frame), default=before)
        if before and (before == frame or keys[before]["enabled"]):
            share = (frame - before) / (after - before) if after > before else 0.0
            one, other = keys[before], keys[after]
            x, y, width, height = (one[n] + share * (other[n] - one[n]) for n in ("x", "y", "width", "height"))
            left, top = x * WIDTH / 100, y * HEIGHT / 100
            found[frame] = left, top, left + width * WIDTH / 100, top + height * HEIGHT / 100
    return found


def mean_iou(region: Json, bird: str, rate: float = RATE) -> float:
    """Over the frames of the editor that show the bird; where it is hidden there must be no box."""
    truth, drawn, scores = boxes(bird), shown(region), []
    for frame in range(1, region["value"]["framesCount"] + 1):
        true = truth[min(int(((frame - 1) / rate + 0.002) * RATE), FRAMES - 1)]
        if true is None:
            assert frame not in drawn, f"{bird} is hidden on frame {frame}"
        else:
            scores.append(box_iou(drawn[frame], true) if frame in drawn else 0.0)
    return sum(scores) / len(scores)


def said(region: Json) -> str:
    (text,) = region["meta"]["text"]
    return str(text)


def test_label_studio_accepts_the_backend(project: Project, studio: Studio, door: Door) -> None:
    (entry,) = studio.ask("GET", f"/api/ml?project={project.number}")
    assert (entry["state"], entry["is_interactive"]) == ("CO", True)
    assert "demo" in studio.ask("GET", f"/api/ml/{entry['id']}/versions")["versions"][0]


def test_a_box_becomes_boxes_and_a_gap_and_they_are_stored_and_exported(project: Project, studio: Studio) -> None:
    answers = [
        *project.interactive(project.region(RED, "Red", name="red")),
        *project.interactive(project.region(BLUE, "Blue", name="blue")),
    ]
    saved = project.submit(*answers)
    assert [(one["id"], one["value"]["labels"]) for one in saved] == [("red", ["Red"]), ("blue", ["Blue"])]
    assert [one["value"]["sequence"] for one in saved] == [one["value"]["sequence"] for one in answers]
    scores = [mean_iou(saved[0], "bird_1"), mean_iou(saved[1], "bird_2")]
    print("mean IoU of the boxes, interactive, 24 fps:", [round(score, 3) for score in scores])
    assert min(scores) >= 0.8
    assert None in boxes("bird_1")
    path = f"/api/projects/{project.number}/export?exportType=JSON&interpolate_key_frames=true"
    (exported,) = studio.ask("GET", path)
    assert len(exported["annotations"][0]["result"]) == 2


def test_several_regions_of_a_label_are_answered_at_once_and_the_second_time_from_memory(project: Project) -> None:
    asked = [project.region(RED, name="a"), project.region(BLUE, name="b")]
    first = project.interactive(*asked)
    begin = time.monotonic()
    again = project.interactive(*asked)
    assert time.monotonic() - begin < 2 and again == first
    assert [one["id"] for one in first] == ["a", "b"]
    assert min(mean_iou(first[0], "bird_1"), mean_iou(first[1], "bird_2")) >= 0.8


def test_a_config_of_25_frames_a_second_gets_the_boxes_of_what_it_shows(studio: Studio, door: Door) -> None:
    project = studio.project(25)
    project.connect(door.url)
    (answer,) = project.interactive(project.region(RED))
    score = mean_iou(answer, "bird_1", 25)
    print("mean IoU of the boxes, 25 fps config on the 24 fps clip:", round(score, 3))
    assert score >= 0.8 and answer["value"]["framesCount"] == 125
    assert 'framerate="24"' in said(answer)


def test_a_corrected_key_frame_is_kept_and_used(project: Project) -> None:
    """The blue bird is drawn too large; a true box in the middle mends what lies around it."""
    (answer,) = project.interactive(project.region((380, 20, 640, 300), "Blue", name="loose"))
    corrected = {**answer, "value": {**answer["value"], "sequence": [dict(i) for i in answer["value"]["sequence"]]}}
    true = boxes("bird_2")[59]
    assert true
    (item,) = [item for item in corrected["value"]["sequence"] if item["frame"] == 60]
    item |= project.region(tuple(map(round, true)), frame=60)["value"]["sequence"][0] | {"enabled": item["enabled"]}  # type: ignore[arg-type]
    (again,) = project.interactive(corrected)
    kept = {item["frame"]: item for item in again["value"]["sequence"]}
    assert {name: kept[60][name] for name in ("x", "y", "width", "height")} == {
        name: item[name] for name in ("x", "y", "width", "height")
    }
    assert kept[1] == answer["value"]["sequence"][0], "the first prompt is not forgotten"
    scores = [mean_iou(answer, "bird_2"), mean_iou(again, "bird_2")]
    print("mean IoU before and after a correction:", [round(score, 3) for score in scores])
    assert again != corrected and scores[1] >= scores[0] and scores[1] >= 0.8
    (third,) = project.interactive(again)
    assert third["value"] == again["value"], "asked once more, nothing changes"


def test_saved_annotations_are_the_prompts_of_a_batch(studio: Studio, door: Door) -> None:
    project = studio.project()
    project.upload(write_clip(studio.folder / "other.mp4", numbered_frames(4, 64, 48)))
    project.connect(door.url)
    first, bare = project.tasks
    project.submit(project.region(RED, "Red", name="red"), project.region(BLUE, "Blue", 1, "blue"), task=first)
    (prediction,) = project.retrieve()
    assert prediction["task"] == first, "a task without annotations gets no prediction"
    red, blue = prediction["result"]
    assert (red["value"]["labels"], blue["value"]["labels"]) == (["Red"], ["Blue"])
    scores = [mean_iou(red, "bird_1"), mean_iou(blue, "bird_2")]
    print("mean IoU of the boxes, batch:", [round(score, 3) for score in scores])
    assert min(scores) >= 0.8 and bare not in {one["task"] for one in project.retrieve()}


def test_two_users_at_once_get_their_own_boxes_while_health_answers(studio: Studio, door: Door) -> None:
    project = studio.project()
    project.connect(door.url)
    with ThreadPoolExecutor(2) as users:
        answers = [
            users.submit(project.interactive, project.region(RED, name="red")),
            users.submit(project.interactive, project.region(BLUE, "Blue", name="blue")),
        ]
        begin = time.monotonic()
        (entry,) = studio.ask("GET", f"/api/ml?project={project.number}")
        assert entry["state"] == "CO" and not all(answer.done() for answer in answers)
        print(f"the state was asked for while two videos were tracked: {time.monotonic() - begin:.2f} s")
        (red,), (blue,) = (answer.result() for answer in answers)
    assert (red["id"], blue["id"]) == ("red", "blue")
    assert min(mean_iou(red, "bird_1"), mean_iou(blue, "bird_2")) >= 0.8


def test_a_box_that_is_moved_while_it_is_tracked_stops_the_old_work(studio: Studio, door: Door) -> None:
    project = studio.project()
    project.connect(door.url)
    answers: list[Json] = []
    old = threading.Thread(target=lambda: answers.extend(project.interactive(project.region(BLUE, name="moved"))))
    old.start()
    time.sleep(1.5)
    (new,) = project.interactive(project.region(RED, name="moved"))
    old.join()
    assert mean_iou(new, "bird_1") >= 0.8
    assert "given up, because the region was asked for with other boxes" in said(answers[0])


def test_a_user_who_closes_the_page_leaves_work_that_the_next_click_gets(studio: Studio, door: Door) -> None:
    project = studio.project()
    project.connect(door.url)
    body: Json = {"task": project.tasks[0], "context": {"result": [project.region(RED)]}}
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{studio.url}/api/ml/{project.backend}/interactive-annotating",
            json=body,
            headers={"Authorization": f"Token {LEGACY}"},
            timeout=1.5,
        )
    assert mean_iou(project.interactive(project.region(RED))[0], "bird_1") >= 0.8


def test_a_backend_that_is_killed_and_started_again_goes_on(studio: Studio) -> None:
    restarted = backend(studio, LEGACY, "restarted")
    with running(restarted):
        project = studio.project()
        project.connect(restarted.url)
        with ThreadPoolExecutor(1) as user:
            answer = user.submit(project.asked, project.region(RED))
            time.sleep(1.5)
            restarted.stop(signal.SIGKILL)
            assert answer.result()["errors"], "what Label Studio passes on; its editor shows nothing of it"
        assert project.asked(project.region(RED))["errors"]
        restarted.start()
        assert mean_iou(project.interactive(project.region(RED))[0], "bird_1") >= 0.8


def test_a_video_that_cannot_be_read_is_told_in_the_region(studio: Studio, door: Door, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    project = studio.project(clip=broken)
    project.connect(door.url)
    (answer,) = project.interactive(project.region(RED))
    assert said(answer).startswith("sam2-cog: video: ") and "broken.mp4 cannot be read as a video" in said(answer)
    assert answer["value"] == project.region(RED)["value"]
    project.submit(project.region(RED))
    for prediction in project.retrieve():
        assert "cannot be read" in said(prediction["result"][0]) and prediction["model_version"].endswith("failed")


@pytest.mark.parametrize("kind", ["personal", "wrong", "wrong personal"])
def test_a_personal_token_works_and_a_wrong_one_is_told(studio: Studio, kind: str) -> None:
    good = studio.personal_token
    token = {"personal": good, "wrong": "f" * 40, "wrong personal": good[:-6] + "AAAAAA"}[kind]
    with running(backend(studio, token, kind.replace(" ", "-"))) as own:
        project = studio.project()
        project.connect(own.url)
        (answer,) = project.interactive(project.region(RED))
    if kind == "personal":
        assert mean_iou(answer, "bird_1") >= 0.8
    else:
        print("what the user reads:", said(answer))
        assert "LABEL_STUDIO_API_KEY" in said(answer)
        assert token not in own.log


def test_a_backend_that_others_reach_wants_its_token_as_password(studio: Studio) -> None:
    shared = backend(studio, LEGACY, "shared", SAM2_TOKEN="secret")
    shared.listen_everywhere()
    with running(shared):
        project = studio.project()
        for password in ("", "wrong"):
            with pytest.raises(
                AssertionError, match="authentication parameters were either not provided or are incorrect"
            ):
                project.connect(shared.url, password)
        assert project.connect(shared.url, "secret")["state"] == "CO"
        assert mean_iou(project.interactive(project.region(RED))[0], "bird_1") >= 0.8


def test_files_of_a_local_storage_and_addresses_of_other_hosts(studio: Studio, door: Door) -> None:
    project = studio.project()
    project.connect(door.url)
    files = studio.media / "clips"
    files.mkdir()
    (files / "birds.mp4").write_bytes(CLIP.read_bytes())
    storage = {"project": project.number, "title": "files", "path": str(files), "use_blob_urls": True}
    studio.ask("POST", "/api/storages/localfiles", json=storage)
    with file_server() as other:
        other.files = {"/birds.mp4": CLIP.read_bytes()}
        for address in ("/data/local-files/?d=clips/birds.mp4", other.url + "/birds.mp4"):
            project.add(address)
            (answer,) = project.interactive(project.region(RED), task=project.tasks[-1])
            assert mean_iou(answer, "bird_1") >= 0.8
        assert other.asked == [("/birds.mp4", None)], "fetched once, and no token was shown"


def test_a_config_without_boxes_is_told_when_the_backend_is_added(studio: Studio, door: Door) -> None:
    body = {"title": "No boxes", "label_config": '<View><Video name="v" value="$video"/></View>'}
    number = studio.ask("POST", "/api/projects", json=body)["id"]
    with pytest.raises(AssertionError, match="the labeling config has no VideoRectangle tag"):
        Project(studio, number, RATE).connect(door.url)
