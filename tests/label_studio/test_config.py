"""A labeling config, whatever its tags are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.label_studio.config import Control, read_config
from tests.label_studio.editor import CONFIG


def test_the_controls_are_found_under_their_own_names() -> None:
    text = """<View><Header value="A"/><View>
      <VideoRectangle toName="left" name="L"/><Video name="left" value="$a" frameRate="1" framerate="25"/>
      <Video name="right" value="https://example.org/b.mp4"/><VideoRectangle name="R" toName="right" smart="true"/>
      <VideoRectangle name="lost" toName="nothing"/></View></View>"""
    assert read_config(text) == {
        "L": Control("L", "left", "$a", "25"),
        "R": Control("R", "right", "https://example.org/b.mp4", ""),
    }


@pytest.mark.parametrize(
    ("framerate", "rate"),
    [
        ("25", 25),
        ("29.97", 29.97),
        ("0.04", 25),
        ("$fps", 30),
        ("$none", 24),
        ("", 24),
        ("x", 24),
        ("-5", 24),
        ("inf", 24),
    ],
)
def test_the_rate_is_that_of_the_editor(framerate: str, rate: float) -> None:
    control = Control("boxes", "clip", "$video", framerate)
    assert control.rate({"fps": 30}) == pytest.approx(rate)


def test_the_address_is_in_the_tasks_data_or_in_the_config() -> None:
    control = read_config(CONFIG.format(rate=24))["boxes"]
    assert control.address({"video": "/data/a.mp4"}) == "/data/a.mp4"
    assert Control("b", "c", "https://example.org/b.mp4", "").address({}) == "https://example.org/b.mp4"
    with pytest.raises(InvalidRequest, match="no text under 'video'"):
        control.address({"clip": "/data/a.mp4"})


@pytest.mark.parametrize("text", ["", "<View>", "<View/>", '<View><VideoRectangle name="b" toName="v"/></View>', "\0"])
def test_a_config_without_a_video_to_draw_on_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^the labeling config "):
        read_config(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_config(text)
