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
from sam2_cog.fleet.manifest import Job, check_apart, read_manifest, shard_of
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


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_csv_of_a_spreadsheet_may_have_other_separators(tmp_path: Path, separator: str) -> None:
    rows = [["id", "video", "click_coordinates"], ["a", "a.mp4", '"[1,2],[3,4]"'], ["b", "b.mp4", "[5,6]"]]
    path = tmp_path / "jobs.csv"
    path.write_text("\ufeff" + "\n".join(map(separator.join, rows)), encoding="utf-8")
    assert [(job.name, job.request.click_coordinates) for job in read_manifest(path)] == [
        ("a", "[1,2],[3,4]"),
        ("b", "[5,6]"),
    ]


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


TABLE = 'id,video,click_coordinates,output_quality\na,a.mp4,"[1,2],[3,4]",80\n'


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(",80", ",80.0"),
        TABLE.replace(",", ", ").replace("a, a", " a,  a"),
        TABLE + "\n,,,\n\n",
        'id,video,click_coordinates,output_quality,\na,a.mp4,"[1,2],[3,4]",80,\n',
        "id;video;click_coordinates;output_quality\r\na;a.mp4;[1,2],[3,4];80\r\n;;;\r\n",
        "id\tvideo\tclick_coordinates\toutput_quality\na\ta.mp4\t[1,2],[3,4]\t80\n",
    ],
)
def test_a_table_is_read_as_programs_write_it(tmp_path: Path, text: str) -> None:
    """With a mark at its start, with other ends of lines, with empty rows below, with Excel's semicolons, by pandas."""
    (tmp_path / "jobs.csv").write_text(text, newline="")
    (job,) = read_manifest(tmp_path / "jobs.csv")
    assert (job.name, job.sources["video"]) == ("a", str(tmp_path / "a.mp4"))
    assert job.request.click_coordinates.replace(" ", "") == "[1,2],[3,4]" and job.request.output_quality == 80


def test_a_line_of_json_may_hold_what_only_looks_like_an_end_of_line(tmp_path: Path) -> None:
    row = {"id": "a\u2028b", "video": "a.mp4", "click_coordinates": "[1,2]"}
    (tmp_path / "jobs.jsonl").write_text("\ufeff" + json.dumps(row, ensure_ascii=False) + "\r\n", newline="")
    (job,) = read_manifest(tmp_path / "jobs.jsonl")
    assert job.name == "a\u2028b"


def test_numbers_of_parquet_may_come_as_floats_with_nothing_between(tmp_path: Path) -> None:
    columns = {"id": [1.0, 2.0], "video": ["a.mp4"] * 2, "click_coordinates": ["[1,2]"] * 2, "start_frame": [3.0, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "jobs.parquet")
    first, second = read_manifest(tmp_path / "jobs.parquet")
    assert (first.name, first.request.start_frame, second.name, second.request.start_frame) == ("1", 3, "2", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TABLE.replace("output_quality", "video"), "cannot be read: it has more than one column 'video'"),
        (TABLE.replace("a,a", "\N{LATIN SMALL LETTER E WITH ACUTE},a"), "cannot be read: it is not UTF-8"),
        (TABLE.replace("a,a", "a\tb,a"), "row 1: id: 'a\\tb' is not allowed, it must be a text of 1 to 255 characters"),
        (TABLE.replace("a,a", "x" * 256 + ",a"), "row 1: id: 'xxxxx"),
    ],
)
def test_a_table_that_would_lose_something_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "jobs.csv").write_bytes(text.encode("latin-1"))
    assert said in refusal(tmp_path / "jobs.csv")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"video": "a.mp4", "video": "b.mp4"}', "line 2: it has more than one column 'video'"),
        ('{"video": "a.mp4"},', "line 2: Extra data"),
        ('{"video": "a.mp4", "masks": ' + "[" * 10**5 + "]" * 10**5 + "}", "line 2: maximum recursion depth"),
        ('{"id": "\\ud800", "video": "a.mp4", "masks": "m.png"}', "row 2: id: '\\ud800' is not allowed"),
        ('{"id": ["a"], "video": "a.mp4", "masks": "m.png"}', "row 2: id: \"['a']\" is not a text or a number"),
        ('{"video": ["a.mp4"], "masks": "m.png"}', "row 2: video: ['a.mp4'] is not a file's path or address"),
    ],
)
def test_a_line_that_means_nothing_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "jobs.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    assert said in refusal(tmp_path / "jobs.jsonl")


def test_no_result_takes_the_place_of_another_rows_file(tmp_path: Path) -> None:
    rows = [{"id": "b", "video": "a.mp4", "masks": "m.png"}, {"id": "c", "video": "b.mp4", "masks": "m.png"}]
    jobs = read_manifest(write(tmp_path / "jobs.jsonl", rows))
    check_apart(jobs, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        with pytest.raises(InvalidRequest, match=r"the result of 'b' may be called 'b.mp4', which is a file of"):
            check_apart(jobs, folder)
    check_apart(read_manifest(write(tmp_path / "jobs.jsonl", [rows[0] | {"id": "a"}, rows[1]])), tmp_path)


def test_a_home_that_nobody_has_is_part_of_a_name(tmp_path: Path) -> None:
    row = {"video": "~nobody-of-that-name/a.mp4", "click_coordinates": "[1,2]"}
    (job,) = read_manifest(write(tmp_path / "jobs.jsonl", [row]))
    assert job.sources["video"] == str(tmp_path / row["video"])


@pytest.mark.parametrize("name", ["Status", "status-0-of-2"])
def test_no_result_takes_the_place_of_what_is_written_of_the_run(tmp_path: Path, name: str) -> None:
    row = {"id": name, "video": "a.mp4", "click_coordinates": "[1,2]", "output_format": "jsonl"}
    (job,) = read_manifest(write(tmp_path / "jobs.jsonl", [row]))
    assert (job.name, job.stem) == (name, f"{name}_2")


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
    (tmp_path / "twice.csv").write_text('video,video,click_coordinates\na.mp4,b.mp4,"[1,2]"\n')
    assert "it has more than one column 'video'" in refusal(tmp_path / "twice.csv")
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
    (other, _, _) = read_manifest(write(tmp_path / "jobs.jsonl", ROWS), "tiny")
    assert len({first.digest, second.digest, changed.digest, other.digest}) == 4
    assert read_manifest(write(tmp_path / "jobs.jsonl", ROWS))[0].digest == first.digest
