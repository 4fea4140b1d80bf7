"""The measure: against its definition, against an independent implementation, and over every layout of data sets."""

import argparse
import json
import math
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import distance_transform_edt

from sam2_cog.errors import InvalidRequest
from sam2_cog.evaluate import clicks, command
from sam2_cog.evaluate.datasets import LabelledClip, labelled_clips
from sam2_cog.evaluate.metrics import boundary_accuracy, boundary_pixels, region_similarity
from sam2_cog.evaluate.report import mask_writer, table_line
from sam2_cog.evaluate.scoring import MaskPrompt, Prompts, evaluate_clip, summarise
from sam2_cog.evaluate.whole_product import product, read_archive
from sam2_cog.masks import Mask
from sam2_cog.prompts import ObjectPrompts, PromptStrings

WIDTH, HEIGHT, FRAMES = 120, 90, 8


def blob(rng: np.random.Generator, height: int, width: int) -> Mask:
    """A few random discs, also over the frame's edge."""
    ys, xs = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 4)):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(2, height / 3)
        mask |= (ys - y) ** 2 + (xs - x) ** 2 <= radius**2
    return mask


def pairs() -> list[tuple[Mask, Mask]]:
    """Masks and truths of many sizes and likenesses, equal, empty and full ones among them."""
    rng = np.random.default_rng(5)
    found = []
    for height, width in ((90, 120), (61, 47), (240, 427), (480, 854)):
        for shift in (0, 1, 3, 7, 20):
            truth = blob(rng, height, width)
            found.append((np.roll(truth, (shift, -shift), (0, 1)), truth))
        found.append((blob(rng, height, width), blob(rng, height, width)))
        empty, full = np.zeros((height, width), bool), np.ones((height, width), bool)
        found += [(empty, empty), (empty, blob(rng, height, width)), (blob(rng, height, width), empty), (full, truth)]
    return found


def boundary_by_definition(mask: Mask, truth: Mask) -> float:
    """F, written without OpenCV and with loops over pixels for the outline."""
    radius = math.ceil(0.008 * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2))
    outlines = []
    for region in (mask, truth):
        outline = np.zeros_like(region)
        for y, x in np.ndindex(region.shape):
            below, right = min(y + 1, region.shape[0] - 1), min(x + 1, region.shape[1] - 1)
            outline[y, x] = len({bool(region[v, u]) for v in (y, below) for u in (x, right)}) > 1
        outlines.append(outline)
    if not (outlines[0].any() and outlines[1].any()):
        return float(outlines[0].any() == outlines[1].any())
    near = [distance_transform_edt(~outline) <= radius for outline in outlines]
    precision, recall = near[1][outlines[0]].mean(), near[0][outlines[1]].mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


class TestMetrics:
    def test_j_of_a_shifted_square(self) -> None:
        truth, mask = np.zeros((2, 50, 50), bool)
        truth[10:30, 10:30], mask[10:30, 15:35] = True, True
        assert region_similarity(mask, truth) == 15 * 20 / (25 * 20)

    def test_f_counts_the_boundary_within_the_tolerance(self) -> None:
        truth = np.zeros((480, 854), bool)
        truth[100:200, 100:300] = True
        assert math.ceil(0.008 * math.hypot(480, 854)) == 8
        assert boundary_accuracy(np.roll(truth, 8, 1), truth) == 1
        assert boundary_accuracy(np.roll(truth, 9, 1), truth) < 0.8
        assert boundary_accuracy(np.roll(truth, 250, 0), truth) == 0

    def test_outline_is_one_pixel_up_and_left_and_not_at_the_edge_of_the_frame(self) -> None:
        mask = np.zeros((6, 6), bool)
        mask[2:, 2:] = True
        expected = np.zeros((6, 6), bool)
        expected[1, 1:], expected[1:, 1] = True, True
        np.testing.assert_array_equal(boundary_pixels(mask), expected)
        assert not boundary_pixels(np.ones((6, 6), bool)).any()

    @pytest.mark.parametrize(("mask", "truth", "value"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)])
    def test_empty_masks(self, mask: int, truth: int, value: float) -> None:
        some = np.zeros((40, 40), bool)
        some[10:20, 10:20] = True
        first, second = some & bool(mask), some & bool(truth)
        assert region_similarity(first, second) == value
        assert boundary_accuracy(first, second) == value

    def test_f_by_its_definition(self) -> None:
        for mask, truth in pairs()[:20]:
            assert boundary_accuracy(mask, truth) == pytest.approx(boundary_by_definition(mask, truth), abs=1e-12)

    def test_both_against_an_independent_implementation(self) -> None:
        evaluator = pytest.importorskip("vos_benchmark.evaluator")
        for mask, truth in pairs():
            judge = evaluator.Evaluator()
            judge.feed_frame(mask.astype(np.uint8), truth.astype(np.uint8))
            if mask.any() or truth.any():  # it leaves an object out that neither has
                assert region_similarity(mask, truth) == pytest.approx(judge.object_iou[1][0], abs=1e-12)
                assert boundary_accuracy(mask, truth) == pytest.approx(judge.boundary_f[1][0], abs=1e-12)

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**32), st.integers(2, 40), st.integers(2, 40))
    def test_symmetric_between_0_and_1_and_1_for_itself(self, seed: int, height: int, width: int) -> None:
        first, second = np.random.default_rng(seed).random((2, height, width)) < 0.4
        for measure in (region_similarity, boundary_accuracy):
            assert measure(first, first) == 1
            assert 0 <= measure(first, second) <= 1
            assert measure(first, second) == pytest.approx(measure(second, first))


class TestClicks:
    def test_click_is_in_the_middle(self) -> None:
        mask = np.zeros((60, 80), bool)
        mask[10:31, 20:61] = (
            True  # every pixel of a stretch of the middle row is as far from the edge: the first counts
        )
        prompt = clicks.click(4, mask)
        assert (prompt.frame_index, prompt.points, prompt.labels, prompt.box) == (4, ((30.0, 20.0),), (1,), None)

    def test_the_edge_of_the_frame_is_an_edge(self) -> None:
        ((x, y),) = clicks.click(0, np.ones((21, 31), bool)).points
        assert (x, y) == (10, 10)

    def test_three_clicks_lie_inside_and_apart(self) -> None:
        rng = np.random.default_rng(1)
        for _ in range(20):
            mask = blob(rng, 60, 80)
            points = clicks.clicks(0, mask).points
            assert points[0] == clicks.click(0, mask).points[0]
            assert len(set(points)) == 3
            assert all(mask[int(y), int(x)] for x, y in points)
        bar = np.zeros((40, 100), bool)
        bar[15:26, 5:95] = True
        xs = sorted(x for x, _ in clicks.clicks(0, bar).points)
        assert min(np.diff(xs)) > 25

    def test_a_tiny_object_gets_as_many_clicks_as_it_has_pixels(self) -> None:
        mask = np.zeros((9, 9), bool)
        mask[8, 7:9] = True
        assert clicks.clicks(0, mask).points == ((7.0, 8.0), (8.0, 8.0))

    def test_box_has_exclusive_far_edges(self) -> None:
        mask = np.zeros((40, 50), bool)
        mask[10:20, 30:50] = True
        assert clicks.box(2, mask).box == (30.0, 10.0, 50.0, 20.0)


def truth_labels() -> np.ndarray:
    """Two squares that move right, the second one first seen on frame 2: (FRAMES, HEIGHT, WIDTH) uint8 with 1 and 2."""
    labels = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for frame in range(FRAMES):
        labels[frame, 10:40, 10 + 4 * frame : 40 + 4 * frame] = 1
        if frame >= 2:
            labels[frame, 50:80, 20 + 3 * frame : 60 + 3 * frame] = 2
    return labels


def png(values: np.ndarray, palette: bool = False) -> bytes:
    image, file = Image.fromarray(values), BytesIO()
    if palette:
        image = image.convert("P")
        image.putdata(values.ravel().tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(file, "PNG")
    return file.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A data set laid out as DAVIS 2017: indexed images under 480p."""
    for frame, labels in enumerate(truth_labels()):
        for kind, data in (("JPEGImages", None), ("Annotations", png(labels, palette=True))):
            file = tmp_path / "davis" / kind / "480p" / "two" / f"{frame:05d}.{'png' if data else 'jpg'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if data:
                file.write_bytes(data)
            else:
                Image.fromarray(labels * 100).convert("RGB").save(file, quality=95)
    return tmp_path / "davis"


def only(dataset: Path) -> LabelledClip:
    (clip,) = labelled_clips(dataset)
    return clip


def expect_squares(clip: LabelledClip) -> None:
    """The clip's objects are those of `truth_labels`, whatever they are called."""
    first, second = clip.objects
    assert (first.first, second.first) == (0, 2)
    for value, one in enumerate(clip.objects, start=1):
        assert [annotation.frame_index for annotation in one.annotations] == list(range(FRAMES))
        for annotation in one.annotations:
            np.testing.assert_array_equal(annotation.read(), truth_labels()[annotation.frame_index] == value)


class TestDatasets:
    def test_davis(self, published: Path, tmp_path: Path) -> None:
        clip = only(published)
        expect_squares(clip)
        assert [one.value for one in clip.objects] == [1, 2]
        with zipfile.ZipFile(clip.as_video(tmp_path)) as archive:
            assert archive.namelist() == [f"{frame:05d}.jpg" for frame in range(FRAMES)]
            assert archive.read("00003.jpg") == (clip.images / "00003.jpg").read_bytes()

    def test_zip_with_one_image_for_all_objects(self, tmp_path: Path) -> None:
        members = {f"{frame:05d}.png": png(labels) for frame, labels in enumerate(truth_labels())}
        write_zip(tmp_path / "two" / "masks.zip", members)
        (tmp_path / "two" / "clip.mp4").touch()
        clip = only(tmp_path)
        expect_squares(clip)
        assert (clip.name, clip.as_video(tmp_path)) == ("two", tmp_path / "two" / "clip.mp4")

    def test_zip_with_a_folder_per_object(self, tmp_path: Path) -> None:
        members = {
            f"masks/{name}/{frame:05d}.png": png((labels == value).astype(np.uint8) * 255)
            for frame, labels in enumerate(truth_labels())
            for value, name in ((1, "a cat"), (2, "dog"))
        }
        write_zip(tmp_path / "two_masks.zip", members | {"manifest.json": b"{}"})
        for name in ("two.mp4", "two.json"):
            (tmp_path / name).touch()
        clip = only(tmp_path)
        expect_squares(clip)
        assert [one.name for one in clip.objects] == ["a cat", "dog"]
        assert clip.images == tmp_path / "two.mp4"

    def test_binary_images(self, tmp_path: Path) -> None:
        write_zip(tmp_path / "x" / "masks.zip", {"00000.png": png(np.full((4, 5), 255, np.uint8))})
        (tmp_path / "x" / "clip.webm").touch()
        (one,) = only(tmp_path).objects
        assert one.annotations[0].read().all()

    def test_sav_labels_every_fourth_frame_in_a_folder_per_object(self, tmp_path: Path) -> None:
        for frame in range(FRAMES):
            file = tmp_path / "JPEGImages_24fps" / "sav_1" / f"{frame:05d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT)).save(file)
        for value, frames in ((0, (0, 4)), (1, (4,))):
            for frame in frames:
                file = tmp_path / "Annotations_6fps" / "sav_1" / f"{value:03d}" / f"{frame:05d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(png(truth_labels()[frame] == value + 1))
        clip = only(tmp_path)
        assert [one.name for one in clip.objects] == ["000", "001"]
        first, second = ([annotation.frame_index for annotation in one.annotations] for one in clip.objects)
        assert (first, second) == ([0, 4], [4])

    def test_an_object_that_is_never_seen_is_left_out(self, tmp_path: Path) -> None:
        empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
        write_zip(tmp_path / "x_masks.zip", {"masks/a/00000.png": png(empty), "masks/b/00000.png": png(full)})
        (tmp_path / "x.mp4").touch()
        assert [one.name for one in only(tmp_path).objects] == ["b"]

    def test_refusals(self, published: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="holds no labelled clips"):
            list(labelled_clips(tmp_path / "none"))
        with pytest.raises(InvalidRequest, match=r"'three' is not in .* which has two"):
            list(labelled_clips(published, ["three"]))
        (published / "Annotations" / "480p" / "two" / "00099.png").write_bytes(png(truth_labels()[0]))
        with pytest.raises(InvalidRequest, match=r"mask 00099\.png, but no frame"):
            only(published)

    def test_a_mask_in_colours_is_refused(self, tmp_path: Path) -> None:
        write_zip(tmp_path / "x_masks.zip", {"00000.png": png(np.zeros((4, 5, 3), np.uint8))})
        (tmp_path / "x.mp4").touch()
        with pytest.raises(InvalidRequest, match=r"has colours \(RGB\)"):
            only(tmp_path)


def masks_of(labels: np.ndarray) -> Mask:
    return np.stack([labels == 1, labels == 2])


def perfect(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
    """Predicts the truth."""
    for frame, labels in enumerate(truth_labels()):
        yield frame, masks_of(labels)


def swapped(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
    """Predicts each object in the place of the other."""
    for frame, masks in perfect(clip, prompts):
        yield frame, masks[::-1]


def lagging(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
    """Predicts where things were a frame ago; the second object is not seen before its prompt."""
    truth = truth_labels()
    for frame in range(FRAMES):
        yield frame, masks_of(truth[max(frame - 1, 0)])


class TestScoring:
    def test_the_truth_scores_1_and_the_wrong_order_0(self, published: Path) -> None:
        for all_frames in (True, False):
            scores = evaluate_clip(only(published), "click", perfect, all_frames=all_frames)
            assert [(score.region, score.boundary) for score in scores] == [(1, 1), (1, 1)]
        scores = evaluate_clip(only(published), "click", swapped, all_frames=True)
        assert all(score.region == 0 and score.boundary < 0.05 for score in scores)

    def test_a_frame_too_late_costs_what_it_should(self, published: Path) -> None:
        first, second = evaluate_clip(only(published), "box", lagging, all_frames=True)
        assert first.region == pytest.approx((1 + 7 * 26 / 34) / 8)
        assert second.region == pytest.approx((2 + 0 + 5 * 37 / 43) / 8)

    def test_which_frames_count(self, published: Path) -> None:
        clip = only(published)
        every = evaluate_clip(clip, "mask", perfect, all_frames=True)
        inner = evaluate_clip(clip, "mask", perfect, all_frames=False)
        assert [score.frames for score in every] == [8, 8]
        assert [score.frames for score in inner] == [6, 5]  # frames 1 to 6, and for the second object 2 to 6

    def test_prompts_are_on_the_frame_on_which_an_object_is_first_seen(self, published: Path) -> None:
        seen: list[Prompts] = []

        def noting(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
            seen.append(prompts)
            return perfect(clip, prompts)

        for kind in ("click", "clicks", "box", "mask"):
            evaluate_clip(only(published), kind, noting, all_frames=False)
        for points, prompts in zip((1, 3, 0), seen[:3], strict=True):
            for index, (one, frame) in enumerate(zip(prompts, (0, 2), strict=True)):
                assert isinstance(one, ObjectPrompts)
                assert (one.name, one.index, one.corrections) == (f"object_{index + 1}", index, ())
                (prompt,) = one.prompts
                assert (prompt.frame_index, len(prompt.points), prompt.box is None) == (frame, points, points > 0)
        for value, start in enumerate(seen[3], start=1):
            assert isinstance(start, MaskPrompt)
            assert start.frame_index == (0, 2)[value - 1]
            np.testing.assert_array_equal(start.mask, truth_labels()[start.frame_index] == value)

    def test_a_frame_that_is_not_predicted_is_an_error(self, published: Path) -> None:
        def short(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
            yield from list(perfect(clip, prompts))[:-2]

        with pytest.raises(InvalidRequest, match="clip two has a mask for frame 6, but no such frame"):
            evaluate_clip(only(published), "click", short, all_frames=True)

    def test_a_mask_of_another_size_is_an_error(self, published: Path) -> None:
        def small(clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
            yield from ((frame, masks[:, ::2, ::2]) for frame, masks in perfect(clip, prompts))

        with pytest.raises(InvalidRequest, match="mask of 120x90 on frame 0, but its frames are 60x45"):
            evaluate_clip(only(published), "click", small, all_frames=True)

    def test_every_object_counts_the_same(self, published: Path) -> None:
        scores = evaluate_clip(only(published), "click", lagging, all_frames=True)
        summary = summarise("two", scores)
        assert (summary.objects, summary.frames) == (2, 16)
        assert summary.region == pytest.approx((scores[0].region + scores[1].region) / 2)
        assert summary.mean == pytest.approx((summary.region + summary.boundary) / 2)

    def test_nothing_scored_is_shown_as_such(self) -> None:
        assert table_line(summarise("none", [])).split() == ["none", "0", "0", "-", "-", "-"]

    def test_the_protocol_against_an_independent_implementation(self, published: Path, tmp_path: Path) -> None:
        benchmark = pytest.importorskip("vos_benchmark.benchmark").benchmark
        watch = mask_writer(tmp_path / "predicted")
        scores = evaluate_clip(only(published), "mask", lagging, all_frames=False, watch=watch)
        truth = published / "Annotations" / "480p"
        (mean,), (region,), (boundary,), _ = benchmark(
            [str(truth)], [str(tmp_path / "predicted")], num_processes=1, verbose=False
        )
        summary = summarise("overall", scores)
        assert 100 * summary.region == pytest.approx(region)
        assert 100 * summary.boundary == pytest.approx(boundary)
        assert 100 * summary.mean == pytest.approx(mean)


def mask_archive(folder: Path, names: list[str]) -> Path:
    """An archive as the product writes it, of the truth."""
    members = {
        f"masks/{name}/{frame:05d}.png": png((labels == i + 1).astype(np.uint8) * 255)
        for frame, labels in enumerate(truth_labels())
        for i, name in enumerate(names)
    }
    write_zip(folder / "result.zip", members | {"manifest.json": b"{}"})
    return folder / "result.zip"


def no_track(video: Path, prompts: object) -> Iterator[tuple[int, Mask]]:
    raise AssertionError("clicks do not go straight to the tracker")


class TestProduct:
    def test_archive_is_read_in_the_order_of_the_names(self, tmp_path: Path) -> None:
        path = mask_archive(tmp_path, ["b", "a"])
        frames = list(read_archive(path, ["b", "a"]))
        assert [frame for frame, _ in frames] == list(range(FRAMES))
        for frame, masks in frames:
            np.testing.assert_array_equal(masks, masks_of(truth_labels()[frame]))

    def test_clicks_go_through_files_that_are_gone_afterwards(self, published: Path) -> None:
        requests: list[tuple[PromptStrings, Path]] = []

        def segment(video: Path, strings: PromptStrings, folder: Path) -> Path:
            assert zipfile.is_zipfile(video)
            requests.append((strings, folder))
            return mask_archive(folder, ["object_1", "object_2"])

        scores = evaluate_clip(only(published), "click", product(segment, no_track), all_frames=True)
        assert [score.region for score in scores] == [1, 1]
        ((strings, folder),) = requests
        assert strings == PromptStrings("[24,24],[40,64]", "1,1", "0,2", "object_1,object_2", "0,0", "0,0")
        assert not folder.exists()

    def test_masks_go_to_the_tracker(self, published: Path) -> None:
        def segment(video: Path, strings: PromptStrings, folder: Path) -> Path:
            raise AssertionError("a mask has no place in a request")

        def track(video: Path, prompts: object) -> Iterator[tuple[int, Mask]]:
            yield from perfect(only(published), [])

        scores = evaluate_clip(only(published), "mask", product(segment, track), all_frames=False)
        assert [score.region for score in scores] == [1, 1]


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parser.add_argument("--model", default="demo")
    return parser.parse_args(words)


class TestCommand:
    def test_table_json_and_masks(self, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report, saved = tmp_path / "scores.json", tmp_path / "saved"
        overall = command.run(
            parse(str(published), "--clips", "two", "--output", str(report), "--save-masks", str(saved)), perfect
        )
        assert overall.mean == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["clip", "objects", "frames", "J", "F", "J&F"]
        assert [line.split() for line in lines[1:]] == [
            ["two", "2", "16", "1.000", "1.000", "1.000"],
            ["overall", "2", "16", "1.000", "1.000", "1.000"],
        ]
        written = json.loads(report.read_text())
        assert written["setting"] == {"dataset": "davis", "model": "demo", "prompt": "click", "frames": "all"}
        assert written["clips"][0]["objects"][1] == {"name": "object_2", "frames": 8, "J": 1, "F": 1, "J&F": 1}
        for frame, labels in enumerate(truth_labels()):
            np.testing.assert_array_equal(np.asarray(Image.open(saved / "two" / f"{frame:05d}.png")), labels)

    def test_masks_are_scored_as_the_challenges_do_unless_told_otherwise(self, published: Path) -> None:
        assert command.run(parse(str(published), "--prompt", "mask"), perfect).frames == 11
        assert command.run(parse(str(published), "--prompt", "mask", "--frames", "all"), perfect).frames == 16
        assert command.run(parse(str(published), "--frames", "inner"), perfect).frames == 11

    def test_clips_by_name_or_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "val.txt").write_text("bear\ncamel\n")
        assert command.clip_names(str(tmp_path / "val.txt")) == ("bear", "camel")
        assert command.clip_names(" bear, camel,") == ("bear", "camel")
        assert command.clip_names("") == ()
