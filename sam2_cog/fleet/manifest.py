"""A manifest -> jobs: a CSV, JSONL or Parquet table with a row per request, read and checked whole before any work.

The columns are the inputs of `Request` by their own names, and `id`, which names the result (without it the stem of the
video). An empty cell is the input's default. Paths of files are relative to the manifest's folder.
"""

import csv
import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from sam2_cog.errors import InvalidRequest, quoted
from sam2_cog.fleet.storage import is_address, without_query
from sam2_cog.outputs import suffix_of
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.request import FILES, Request

LONGEST_ID = 255
_STATUS_OF_SHARD = re.compile(r"status-\d+-of-\d+", re.IGNORECASE)
INPUTS = {item.name: item for item in fields(Request)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One row: `name` is its `id`, `stem` begins the name of its result's file, distinct on every file system.

    How that name ends shows when the video is seen: of one image it may be a picture, of several shots it is a zip.
    `sources` are the request's files by the input's name, the video and what lies beside it: each a path, relative ones
    seen from the manifest, or an address (`s3://...`) that is fetched first. The request names them as the row does.
    `model` is who finds the masks; "" where that is left open.
    """

    name: str
    sources: Mapping[str, str]
    request: Request
    stem: str
    model: str = ""

    @property
    def digest(self) -> str:
        """What the result depends on, in short: another one means that the row changed since."""
        said = {name: str(getattr(self.request, name)) for name in INPUTS} | {"model": self.model}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(path: Path, model: str = "") -> tuple[Job, ...]:
    """Every row as a job for the model, in the order of the file.

    Raises:
        InvalidRequest: the file or one of its rows cannot be used; the sentence names the row, counted from 1.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidRequest(f"manifest: {path.name!r} must end in one of {', '.join(_READERS)}")
    if not path.is_file():
        raise InvalidRequest(f"manifest: {str(path)!r} does not exist")
    try:
        rows = [row for row in reader(path) if any(cell not in (None, "") for cell in row.values())]
    except UnicodeDecodeError:
        raise InvalidRequest(f"manifest: {path.name!r} cannot be read: it is not UTF-8, save it as that") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise InvalidRequest(f"manifest: {path.name!r} cannot be read: {str(error).splitlines()[0]}") from None
    if not rows:
        raise InvalidRequest(f"manifest: {path.name!r} has no row, but at least one is needed")
    requests = [_request(number, row) for number, row in enumerate(rows, 1)]
    names = [_name(number, row, request) for number, (row, request) in enumerate(zip(rows, requests, strict=True), 1)]
    _check_distinct(names)
    batch_own = ["status", *(name for name in names if _STATUS_OF_SHARD.fullmatch(name))]
    stems = safe_names([*batch_own, *names])[len(batch_own) :]
    return tuple(
        Job(name, _sources(row, path.parent), request, stem, model)
        for name, row, request, stem in zip(names, rows, requests, stems, strict=True)
    )


def check_apart(jobs: Sequence[Job], folder: Path) -> None:
    """Raise InvalidRequest if the result of a job would take the place of a file of another job."""
    folder = folder.resolve()
    read = {Path(at).resolve(): job.name for job in jobs for at in job.sources.values() if not is_address(at)}
    for job in jobs:
        for suffix in {suffix_of(job.request), f".{job.request.output_format}"}:
            reader = read.get(folder / (job.stem + suffix), job.name)
            if reader != job.name:
                raise InvalidRequest(
                    f"output: the result of {quoted(job.name)} may be called {quoted(job.stem + suffix)}, which is a "
                    f"file of {quoted(reader)}: name another folder"
                )


def shard_of(jobs: Sequence[Job], index: int, count: int) -> tuple[Job, ...]:
    """The jobs of shard `index` of [0, count): each job belongs to one, whatever other rows there are."""
    return tuple(job for job in jobs if int(hashlib.sha256(job.name.encode()).hexdigest(), 16) % count == index)


def _csv_rows(path: Path) -> Iterator[Row]:
    """Excel parts columns with semicolons where numbers have a decimal comma."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = max(",;\t", key=file.readline().count)
        file.seek(0)
        reader = csv.DictReader(file, restkey="", strict=True, delimiter=delimiter, skipinitialspace=True)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        _distinct([(name, None) for name in reader.fieldnames])
        for row in reader:
            yield {name: cell for name, cell in row.items() if name or any(cell or ())}


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=_distinct)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object")
            yield row


def _distinct(pairs: Sequence[tuple[str, Any]]) -> Row:
    """The row, in which a name must not stand twice: one of the two would be lost. No name is no column."""
    twice = [name for name, count in Counter(name for name, _ in pairs if name).items() if count > 1]
    if twice:
        raise ValueError(f"it has more than one column {quoted(twice[0])}")
    return dict(pairs)


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
            if read is bool:
                return {"true": True, "false": False}[value.strip().lower()]
            return float(value)  # pandas writes whole numbers as 80.0 where another cell is empty
        except (ValueError, KeyError):
            return value  # the request refuses it in its own words
    return json.dumps(value) if isinstance(value, list) and name not in FILES else value


def _sources(row: Row, folder: Path) -> dict[str, str]:
    named = {name: str(row[name]) for name in FILES if row.get(name) not in (None, "")}
    return {name: at if is_address(at) else str(folder / os.path.expanduser(at)) for name, at in named.items()}


def _name(number: int, row: Row, request: Request) -> str:
    """Its id, as one line of text; raises InvalidRequest where that cannot be."""
    name = row.get("id")
    if isinstance(name, bool | list | dict | bytes):
        raise InvalidRequest(f"manifest: row {number}: id: {quoted(str(name))} is not a text or a number")
    if isinstance(name, float) and name.is_integer():
        name = int(name)
    text = str(name).strip() if name is not None else ""
    text = text or PurePosixPath(str(request.video)).stem
    if not text or len(text) > LONGEST_ID or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        allowed = f"a text of 1 to {LONGEST_ID} characters, none of them a control character"
        raise InvalidRequest(f"manifest: row {number}: id: {quoted(text)} is not allowed, it must be {allowed}")
    return text


def _check_distinct(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        rows = [number for number, name in enumerate(names, 1) if name == repeated[0]]
        raise InvalidRequest(
            f"manifest: rows {rows[0]} and {rows[1]} have the id {repeated[0]!r}, but each row needs one of its own"
        )
