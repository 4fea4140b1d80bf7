"""Files of masks and boxes on the page: where they come, how requests name them, what is left of them."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest
from sam2_cog.page.prompt_files import PromptFiles
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.http_server import Answer
from tests.page.disc import disc_centre, disc_clip, disc_mask
from tests.page.test_server import COUNT, HEIGHT, WIDTH, Page, contents, decoded, opened

BOXES = "frame,name,x0,y0,x1,y1\n0,disc,10,18,38,46\n4,disc,26,18,54,46\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disc_clip(tmp_path_factory.mktemp("clip") / "disc.mp4", COUNT, WIDTH, HEIGHT)


@pytest.fixture
def page(demo_model: LoadedModel, clip: Path) -> Iterator[Page]:
    yield from opened(demo_model, clip)


def png(mask: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(np.uint8(255) * mask).save(file, "PNG")
    return file.getvalue()


def archive(*frames: int) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for frame in frames:
            packed.writestr(f"masks/disc/{frame:05}.png", png(disc_mask(frame, WIDTH, HEIGHT)))
    return file.getvalue()


def give(page: Page, name: str, data: bytes, kind: str = "masks") -> Answer:
    return page.address.ask("PUT", f"/api/prompts?clip={page.ready()['id']}&input={kind}&name={name}", data)


def kept(page: Page) -> list[str]:
    return sorted(path.name for path in page.desk._folder.rglob("*") if path.is_file())


def test_masks_come_back_as_marks_and_are_seen_on_their_frame(page: Page) -> None:
    file = give(page, "disc%20(1).zip", archive(0, 3)).json["file"]
    assert file.endswith("/disc (1).zip")
    answer = page.post("read", {"masks": file}).json
    assert answer["files"] == {"masks": file, "mask_frames": ""}
    assert [(one["input"], one["name"], one["frame"], one["at"]) for one in answer["entries"]] == [
        ("masks", "disc", 0, None),
        ("masks", "disc", 3, None),
    ]
    asked = {"masks": file, "mask_frames": "3"}
    assert [one["frame"] for one in page.post("read", asked).json["entries"]] == [3]
    (mask,) = page.post("preview", asked, frame=3).json["masks"]
    given = disc_mask(3, WIDTH, HEIGHT)
    assert (decoded(mask) & given).sum() / (decoded(mask) | given).sum() > 0.9


def test_clicks_boxes_and_masks_are_told_apart(page: Page) -> None:
    x, y = disc_centre(0, WIDTH, HEIGHT)
    boxes = give(page, "found.csv", BOXES.encode(), "boxes").json["file"]
    inputs: dict[str, Any] = {
        "click_coordinates": f"[{x},{y}],[5,5,20,20]",
        "click_object_ids": "disc,other",
        "boxes": boxes,
        "masks": give(page, "disc.zip", archive(0)).json["file"],
    }
    shown = [
        (one["name"], one["frame"], one["input"], one["at"] and len(one["at"]))
        for one in page.post("read", inputs).json["entries"]
    ]
    assert shown == [
        ("disc", 0, "masks", None),
        ("disc", 0, "boxes", 4),
        ("disc", 0, "click_coordinates", 2),
        ("disc", 4, "boxes", 4),
        ("other", 0, "click_coordinates", 4),
    ]


def test_what_is_written_is_that_of_the_command_line(
    page: Page, clip: Path, demo_model: LoadedModel, tmp_path: Path
) -> None:
    (tmp_path / "disc.zip").write_bytes(archive(0, 3))
    more: dict[str, Any] = {"mask_frames": "0", "output_format": "png", "mask_type": "binary"}
    file = give(page, "disc.zip", archive(0, 3)).json["file"]
    assert page.events("track", {"masks": file, **more})[-1] == {"end": "done"}
    written = page.address.ask("GET", page.events("write", {"masks": file, **more})[-1]["file"]).body
    (tmp_path / "page.zip").write_bytes(written)
    segment_video(Request(clip, masks=tmp_path / "disc.zip", **more), demo_model, tmp_path / "out.zip")
    assert contents(tmp_path / "page.zip") == contents(tmp_path / "out.zip")


@pytest.mark.parametrize(
    ("name", "data", "kind", "sentence"),
    [
        ("small.png", png(np.ones((8, 9), bool)), "masks", "masks: 'small.png' is 9x8, but the video is 96x64"),
        ("text.png", b"text", "masks", "masks: 'text.png' cannot be read: it is damaged, or no PNG or zip"),
        ("empty.png", png(np.zeros((HEIGHT, WIDTH), bool)), "masks", "masks: empty.png has no pixel above 0"),
        ("late.zip", archive(COUNT), "masks", f"masks: 'masks/disc/00008.png' is on frame {COUNT}, but the video has"),
        ("found.csv", b"0,dog,1,2\n", "boxes", "boxes: line 1 is '0,dog,1,2', but a line is frame, name,"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_the_requests_words(
    page: Page, name: str, data: bytes, kind: str, sentence: str
) -> None:
    file = give(page, name, data, kind).json["file"]
    refusal = page.post("read", {kind: file})
    assert refusal.status == 422 and refusal.json["error"].startswith(sentence)


def test_only_files_that_were_given_to_this_clip_can_be_named(page: Page, clip: Path) -> None:
    refusal = page.post("read", {"masks": "/etc/passwd"})
    assert (refusal.status, refusal.json["error"]) == (422, "masks: 'passwd' is not here, choose the file again")
    first = give(page, "disc.zip", archive(0)).json["file"]
    second = give(page, "disc.zip", archive(3)).json["file"]
    assert [page.post("read", {"masks": file}).json["entries"][0]["frame"] for file in (first, second)] == [0, 3]
    # a saved session knows the name alone: the one that was given last
    answer = page.post("read", {"masks": "disc.zip"}).json
    assert answer["files"]["masks"] == second
    assert page.address.ask("PUT", f"/api/prompts?clip={page.ready()['id']}&input=video&name=a", b"x").status == 404
    assert page.post("read", {"masks": 5}).json["error"] == "masks: 5 is not a file's path or address"


def test_nothing_is_left_of_a_file_when_another_clip_is_opened(page: Page, clip: Path) -> None:
    give(page, "a.zip", archive(0))
    assert kept(page) == ["a.zip"]
    before = page.ready()["id"]
    page.upload(clip.read_bytes())
    page.ready()
    assert kept(page) == ["clip.mp4"]
    late = page.address.ask("PUT", f"/api/prompts?clip={before}&input=masks&name=b.zip", archive(0))
    assert late.status == 410 and kept(page) == ["clip.mp4"]
    path = page.desk.new_file("c.zip")
    path.write_bytes(b"x")
    with pytest.raises(Exception, match="another clip"):  # one that was still coming when the clip was left
        page.desk.keep(before, path)
    assert kept(page) == ["clip.mp4"]


def test_a_clip_that_was_idle_still_has_its_files(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    file = give(page, "a.zip", archive(0)).json["file"]
    page.post("preview", {"masks": file}, frame=0)
    monkeypatch.setattr(page.desk, "_used", page.desk._used - 2000)
    page.desk.tend()
    assert page.ready()["inputs"] == {"masks": file}
    assert len(page.post("preview", {"masks": file}, frame=0).json["masks"]) == 1


def test_files_are_bounded_each_and_together(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_PROMPT_FILE_BYTES", "1000")
    refusal = give(page, "a.zip", b"x" * 1001)
    assert refusal.status == 413
    assert refusal.json["error"].startswith("masks: a.zip has 1001 bytes, but at most 1000 are allowed")
    assert kept(page) == []
    for name in "bcd":
        give(page, f"{name}.zip", b"x" * 400)
    assert kept(page) == ["c.zip", "d.zip"]  # the oldest one made room


def test_prompt_files_are_found_by_what_they_are_called(tmp_path: Path) -> None:
    files = PromptFiles()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.png").write_bytes(b"x")
    assert [files.add(tmp_path / folder / "m.png") for folder in ("one", "two")] == ["one/m.png", "two/m.png"]
    assert files.found({"masks": "one/m.png", "boxes": None, "mask_type": "binary"}) == {
        "masks": tmp_path / "one" / "m.png",
        "boxes": None,
        "mask_type": "binary",
    }
    with pytest.raises(InvalidRequest, match=r"^boxes: 'm\.csv' is not here, choose the file again$"):
        files.found({"boxes": "one/m.csv"})
    files.remove()
    assert not list(tmp_path.iterdir())
