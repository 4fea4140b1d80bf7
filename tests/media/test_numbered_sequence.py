"""What counts as a clip with a broken frame, and what as separate images."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import UnreadableVideo
from sam2_cog.fleet.cost import _images
from sam2_cog.media.image_set import probe_image_set
from sam2_cog.media.numbered_sequence import odd_frame
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.clips import encode_image, numbered_frames, write_zip

USUAL, ODD = (96, 64), (32, 24)


def sequence(count: int, first: int = 1) -> list[str]:
    return [f"frame_{number:05d}.png" for number in range(first, first + count)]


@pytest.mark.parametrize("output_format", ["mp4", "png", "jpg", "coco"])
def test_a_clip_with_a_broken_frame_is_refused_by_its_name(tmp_path: Path, output_format: str) -> None:
    names, pictures = sequence(8), [encode_image(frame) for frame in numbered_frames(8, *USUAL)]
    pictures[5] = encode_image(numbered_frames(1, *ODD)[0])
    path = write_zip(tmp_path / "frames.zip", list(zip(names, pictures, strict=True)))
    sentence = (
        "video: frames.zip holds an image of 32x24 (frame_00006.png), but 7 of the 8 images of this numbered sequence "
        "are 96x64: for a clip all must be so, for separate images give one a name without a number"
    )
    request = Request(path, "[10,10]", output_format=output_format)
    with pytest.raises(UnreadableVideo) as refused:
        segment_video(request, lambda: pytest.fail("loaded"), lambda suffix: tmp_path / f"result{suffix}")
    assert str(refused.value) == sentence
    with pytest.raises(UnreadableVideo, match="frame_00006"):
        _images(path)


def test_the_way_out_that_the_sentence_names_is_one(tmp_path: Path, demo_model: LoadedModel) -> None:
    names, pictures = sequence(8), [encode_image(frame) for frame in numbered_frames(8, *USUAL)]
    pictures[5] = encode_image(numbered_frames(1, *ODD)[0])
    names[7] = "last.png"
    path = write_zip(tmp_path / "photos.zip", list(zip(names, pictures, strict=True)))
    assert len(probe_image_set(path).names) == 8
    request = Request(path, "[10,10]", output_format="png")
    assert segment_video(request, demo_model, tmp_path / "result.zip", lambda *_: None).frames == 1


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (["bay.png", "cliff.png", "dune.png", "elm.png"], [USUAL] * 3 + [ODD]),  # no numbers
        (["IMG_0001.jpg", "IMG_0002.jpg", "IMG_0003.jpg", "IMG_0007.jpg"], [USUAL] * 3 + [ODD]),  # a gap
        (["a_1.png", "a_2.png", "b_3.png", "b_4.png"], [USUAL] * 3 + [ODD]),  # two sequences
        (sequence(3), [USUAL, ODD, USUAL]),  # too few of one size
        (sequence(6), [USUAL, ODD] * 3),
        (sequence(9), [USUAL] * 8 + [USUAL[::-1]]),  # a camera held upright
        (sequence(9), [USUAL] * 9),
    ],
)
def test_what_may_well_be_meant_as_separate_images_is(names: list[str], sizes: list[tuple[int, int]]) -> None:
    assert odd_frame(names, sizes) is None


@given(st.integers(4, 40), st.data())
def test_the_odd_one_is_found_wherever_it_is(count: int, data: st.DataObject) -> None:
    place, first = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, 99_990))
    sizes = [USUAL] * count
    sizes[place] = ODD
    assert odd_frame(sequence(count, first), sizes) == (place, USUAL, count - 1)
