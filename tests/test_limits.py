"""Every limit is read from its variable, stands in the table of docs/limits.md, and refuses in one sentence."""

import time
from pathlib import Path

import pytest

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import parse_prompts

TABLE = (Path(__file__).parent.parent / "docs" / "limits.md").read_text(encoding="utf-8")


def test_the_table_lists_every_limit_with_its_default_and_nothing_else() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| `")]
    bounds = [f"| `{limit.variable}` | {limit.default} | {limit.meaning} |" for limit in limits.ALL]
    assert rows == bounds + [f"| `{switch.variable}` | {switch.meaning} |" for switch in limits.SWITCHES]
    assert len({limit.variable for limit in limits.ALL}) == len(limits.ALL)


def test_a_variable_takes_the_place_of_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.OBJECTS.excess(500) == ""
    assert limits.OBJECTS.excess(501) == "501 objects, but at most 500 are allowed (SAM2_MAX_OBJECTS)"
    monkeypatch.setenv("SAM2_MAX_OBJECTS", " 7 ")
    assert limits.OBJECTS.excess(7) == "" and limits.OBJECTS.excess(8).startswith("8 objects, but at most 7 ")
    told = "more than 7 objects, the most that are allowed (SAM2_MAX_OBJECTS)"
    assert (limits.OBJECTS.excess(7, so_far=True), limits.OBJECTS.excess(8, so_far=True)) == ("", told)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "many", "\u0663", "9" * 5000])
def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    limits.check_environment()
    monkeypatch.setenv("SAM2_MAX_SECONDS", text)
    with pytest.raises(InvalidRequest, match=r"^SAM2_MAX_SECONDS: '.*' is not a whole number from 1$") as caught:
        limits.check_environment()
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("variable", "most", "sentence"),
    [
        ("SAM2_MAX_CLICKS", 2, "click_coordinates: there are 3 clicks, but at most 2"),
        ("SAM2_MAX_OBJECTS", 1, "click_object_ids: there are 2 objects, but at most 1"),
        ("SAM2_MAX_CLICKED_FRAMES", 2, "click_frames: there are 3 clicked frames, but at most 2"),
        ("SAM2_MAX_OBJECT_PIXELS", 6143, "click_object_ids: there are 6144 pixels in all masks of a frame, but"),
    ],
)
def test_prompts_beyond_a_limit_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, most: int, sentence: str
) -> None:
    def parse() -> None:
        parse_prompts("[1,2],[3,4],[5,6]", "1", "0,1,2", "a,b,b", width=64, height=48, frame_count=9)

    parse()
    monkeypatch.setenv(variable, str(most))
    with pytest.raises(InvalidRequest) as caught:
        parse()
    assert str(caught.value).startswith(sentence) and str(caught.value).endswith(f" allowed ({variable})")


@pytest.mark.parametrize("entry", ["[1,2]", "[1,2,3,4]"])
def test_a_million_points_are_refused_in_under_a_second(entry: str) -> None:
    text = ",".join([entry] * 1_000_000)
    begin = time.process_time()
    with pytest.raises(InvalidRequest, match="there are 1000000 clicks, but at most 10000 are allowed"):
        parse_prompts(text, width=64, height=48, frame_count=9)
    assert time.process_time() - begin < 1


def test_a_deadline_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_SECONDS", "1")
    deadline = limits.Deadline()
    deadline.check()
    time.sleep(1.1)
    with pytest.raises(InvalidRequest, match=r"took more than 1 seconds, .* \(SAM2_MAX_SECONDS\), and was stopped"):
        deadline.check()
