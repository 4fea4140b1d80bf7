"""A manifest is read whole: every row becomes a job, or the first that cannot is named."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.fleet.manifest import Job, read_manifest, shard_of
from sam2_cog.request import Request

ROWS: list[dict[str, Any]] = [
    {"id": "first", "video": "a.mp4", "click_coordinates": "[1,2]", "output_quality": 50, "video_fps": 12.5},
    {"id": "second", "video": "deep/b.mp4", "click_coordinates": "[3,4],[5,6]", "output_format": "png"},
    {"id": "third", "video": "c.mp4", "click_coordinates": "[3,4]", "separate_objects": True},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    else:
        table = pyarrow.Table.from_pylist([dict.fromkeys(columns) | row for row in rows])
        pyarrow.parquet.write_table(table, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_row_is_a_request(tmp_path: Path, suffix: str) -> None:
    first, second, third = read_manifest(write(tmp_path / f"jobs{suffix}", ROWS))
    assert (first.name, first.sources, first.stem) == ("first", {"video": str(tmp_path / "a.mp4")}, "first")
    assert (first.request.output_quality, first.request.video_fps) == (50, 12.5)
    assert (second.stem, second.sources["video"]) == ("second", str(tmp_path / "deep/b.mp4"))
    assert second.request.click_coordinates == "[3,4],[5,6]" and second.request.output_quality == 80
    assert third.request.separate_objects is True and second.request.separate_objects is False


def test_without_an_id_the_stem_of_the_video_is_the_name(tmp_path: Path) -> None:
    rows = [
        {"video": "deep/dog.mp4", "click_coordinates": "[1,2]"},
        {"video": "s3://b/cat.mov", "click_coordinates": "[1,2]"},
    ]
    dog, cat = read_manifest(write(tmp_path / "jobs.jsonl", rows))
    assert (dog.name, cat.name, cat.sources) == ("dog", "cat", {"video": "s3://b/cat.mov"})


def test_files_beside_the_video_lie_where_the_manifest_lies_or_at_addresses(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "video": "a.mp4", "masks": "m/a.zip"},
        {"id": "b", "video": "b.mp4", "boxes": "s3://data/b.csv"},
    ]
    first, second = read_manifest(write(tmp_path / "jobs.jsonl", rows))
    assert first.sources == {"video": str(tmp_path / "a.mp4"), "masks": str(tmp_path / "m/a.zip")}
    assert second.sources["boxes"] == "s3://data/b.csv"


def test_a_signed_address_may_be_long_and_another_signature_is_the_same_request(tmp_path: Path) -> None:
    rows = [{"video": f"https://host/dog.mp4?signature={who * 300}", "click_coordinates": "[1,2]"} for who in "ab"]
    (first,), (second,) = (read_manifest(write(tmp_path / "jobs.jsonl", [row])) for row in rows)
    assert (first.name, first.sources["video"]) == ("dog", rows[0]["video"])
    assert first.digest == second.digest


def test_lists_of_json_are_taken_as_the_text_that_they_are(tmp_path: Path) -> None:
    row = {"video": "a.mp4", "click_coordinates": [[1, 2], [3, 4]], "click_object_ids": ["dog", "cat"]}
    (job,) = read_manifest(write(tmp_path / "jobs.jsonl", [row]))
    assert json.loads(job.request.click_coordinates) == [[1, 2], [3, 4]]


def test_names_that_a_file_system_takes_for_the_same_get_files_of_their_own(tmp_path: Path) -> None:
    rows = [{"id": name, "video": "a.mp4", "click_coordinates": "[1,2]"} for name in ("Dog", "dog", "../dog", "a/b")]
    stems = [job.stem for job in read_manifest(write(tmp_path / "jobs.jsonl", rows))]
    assert len({stem.casefold() for stem in stems}) == 4 and not any("/" in stem for stem in stems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "row 2 has a column 'colour', but the columns are id, video, click_coordinates"),
        ({"id": "first"}, "rows 1 and 2 have the id 'first'"),
        ({"output_quality": "high"}, "row 2: output_quality: 'high' is not allowed"),
        ({"output_quality": 0}, "row 2: output_quality: 0 is not allowed"),
        ({"mask_type": "blue"}, "row 2: mask_type: 'blue' is not allowed"),
        ({"video": ""}, "row 2 has no video"),
        ({"click_coordinates": None}, "row 2: click_coordinates: there is no point"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "jobs.jsonl", [ROWS[0], ROWS[1] | change])
    assert said in refusal(path)


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "jobs.csv")
    assert "must end in one of .csv, .jsonl, .parquet" in refusal(tmp_path / "jobs.txt")
    for suffix, content in ((".jsonl", b"{"), (".jsonl", b"[1]"), (".parquet", b"no"), (".jsonl", b"\xff\xfe")):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        assert "cannot be read" in refusal(path)
    (tmp_path / "empty.csv").write_text("video,click_coordinates\n")
    assert "has no row" in refusal(tmp_path / "empty.csv")
    (tmp_path / "wide.csv").write_text('video,click_coordinates\na.mp4,"[1,2]",more\n')
    assert "a cell beyond the last column" in refusal(tmp_path / "wide.csv")


@given(st.sets(st.text(min_size=1, max_size=8), max_size=30), st.integers(1, 7))
def test_shards_part_the_rows_whatever_else_there_is(names: set[str], count: int) -> None:
    jobs = [Job(name, {"video": "a.mp4"}, Request(Path("a.mp4"), "[1,2]"), name) for name in sorted(names)]
    shards = [shard_of(jobs, index, count) for index in range(count)]
    assert sorted(job.name for shard in shards for job in shard) == sorted(names)
    assert shard_of(jobs[:1], 0, count) == tuple(job for job in shards[0] if job in jobs[:1])


def test_another_request_has_another_digest(tmp_path: Path) -> None:
    first, second, _ = read_manifest(write(tmp_path / "jobs.jsonl", ROWS))
    (changed, _) = read_manifest(write(tmp_path / "jobs.jsonl", [ROWS[0] | {"output_quality": 51}, ROWS[1]]))
    assert len({first.digest, second.digest, changed.digest}) == 3
    assert read_manifest(write(tmp_path / "jobs.jsonl", ROWS))[0].digest == first.digest
