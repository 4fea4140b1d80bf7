"""A manifest -> jobs: a CSV, JSONL or Parquet table with a row per request, read and checked whole before any work.

The columns are the inputs of `Request` by their own names, and `id`, which names the result (without it the stem of the
video). An empty cell is the input's default. Paths of files are relative to the manifest's folder.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from sam2_cog.errors import InvalidRequest
from sam2_cog.fleet.storage import is_address, without_query
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.request import FILES, Request

INPUTS = {item.name: item for item in fields(Request)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One row: `name` is its `id`, `stem` begins the name of its result's file, distinct on every file system.

    How that name ends shows when the video is seen: of one image it may be a picture, of several shots it is a zip.
    `sources` are the request's files by the input's name, the video and what lies beside it: each a path, relative ones
    seen from the manifest, or an address (`s3://...`) that is fetched first. The request names them as the row does.
    """

    name: str
    sources: Mapping[str, str]
    request: Request
    stem: str

    @property
    def digest(self) -> str:
        """What the result depends on, in short: another one means that the row changed since."""
        said = {name: str(getattr(self.request, name)) for name in INPUTS}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(path: Path) -> tuple[Job, ...]:
    """Every row as a job, in the order of the file.

    Raises:
        InvalidRequest: the file or one of its rows cannot be used; the sentence names the row, counted from 1.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidRequest(f"manifest: {path.name!r} must end in one of {', '.join(_READERS)}")
    if not path.is_file():
        raise InvalidRequest(f"manifest: {str(path)!r} does not exist")
    try:
        rows = list(reader(path))
    except (ValueError, csv.Error) as error:
        raise InvalidRequest(f"manifest: {path.name!r} cannot be read: {error}") from None
    if not rows:
        raise InvalidRequest(f"manifest: {path.name!r} has no row, but at least one is needed")
    requests = [_request(number, row) for number, row in enumerate(rows, 1)]
    names = [_name(row, request) for row, request in zip(rows, requests, strict=True)]
    _check_distinct(names)
    return tuple(
        Job(name, _sources(row, path.parent), request, stem)
        for name, row, request, stem in zip(names, rows, requests, safe_names(names), strict=True)
    )


def shard_of(jobs: Sequence[Job], index: int, count: int) -> tuple[Job, ...]:
    """The jobs of shard `index` of [0, count): each job belongs to one, whatever other rows there are."""
    return tuple(job for job in jobs if int(hashlib.sha256(job.name.encode()).hexdigest(), 16) % count == index)


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, restkey="", strict=True)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object")
            yield row


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow") from None
    yield from pyarrow.parquet.read_table(path).to_pylist()


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
}


def _request(number: int, row: Row) -> Request:
    unknown = [name for name in row if name != "id" and name not in INPUTS]
    if unknown:
        shown = "a cell beyond the last column" if unknown[0] == "" else f"a column {unknown[0]!r}"
        raise InvalidRequest(f"manifest: row {number} has {shown}, but the columns are id, {', '.join(INPUTS)}")
    given = {name: _value(name, row[name]) for name in INPUTS if row.get(name) not in (None, "")}
    missing = [name for name, item in INPUTS.items() if item.default is MISSING and name not in given]
    if missing:
        raise InvalidRequest(f"manifest: row {number} has no {missing[0]}")
    files = {name: without_query(given[name]) for name in FILES if is_address(str(given.get(name, "")))}
    try:
        return Request(**given | files)
    except InvalidRequest as error:
        raise InvalidRequest(f"manifest: row {number}: {error}") from None


def _value(name: str, value: Any) -> Any:
    """A cell as the input takes it: a CSV holds numbers as text, JSON may hold lists where text is asked for."""
    read = type(INPUTS[name].default)
    if isinstance(value, str) and read in (bool, int, float):
        try:
            return {"true": True, "false": False}[value.strip().lower()] if read is bool else read(value)
        except (ValueError, KeyError):
            return value  # the request refuses it in its own words
    return json.dumps(value) if isinstance(value, list) else value


def _sources(row: Row, folder: Path) -> dict[str, str]:
    named = {name: str(row[name]) for name in FILES if row.get(name) not in (None, "")}
    return {name: at if is_address(at) else str(folder / Path(at).expanduser()) for name, at in named.items()}


def _name(row: Row, request: Request) -> str:
    name = row.get("id")
    return str(name) if name not in (None, "") else PurePosixPath(str(request.video)).stem


def _check_distinct(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        rows = [number for number, name in enumerate(names, 1) if name == repeated[0]]
        raise InvalidRequest(
            f"manifest: rows {rows[0]} and {rows[1]} have the id {repeated[0]!r}, but each row needs one of its own"
        )
