"""Lists as they are written -> the texts of their values; what is no list; that the work is linear."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from sam2_cog.reading.value_lists import NotAList, bare_entries, split_entries, split_names, split_numbers, split_values

MANY = 1_000_000


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("1", ["1"]),
        (" 1 ,0\n", ["1", "0"]),
        ("1 0\t1", ["1", "0", "1"]),
        ("1,,0", ["1", "", "0"]),
        ("1;0,", ["1", "0"]),
        ("[1, 0,]", ["1", "0"]),
        ("['1' \"0\"]", ["1", "0"]),
        ("1 2 3 4 5", ["1", "2", "3", "4 5"]),
        ("1,2,3,'4,5", ["1", "2", "3", "'4,5"]),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    assert split_values(text, 3) == values


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("red bird, dog", ["red bird", "dog"]),
        ("red bird\ndog\n", ["red bird", "dog"]),
        ("dog,,cat", ["dog", "", "cat"]),
        ("['red bird', null]", ["red bird", ""]),
        ('["null"]', ["null"]),
        ("null", ["null"]),
        ('[a,b,c,"d]', ["a", "b", "c", '"d']),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert split_names(text, 3) == names


@pytest.mark.parametrize("split", [split_values, split_names])
@pytest.mark.parametrize("text", ["[1", "[", "[(1]", "['1]", '["1]', "[1]2]", '[1"]', "['\\n']"])
def test_what_is_no_list(split: Callable[[str, int], list[str]], text: str) -> None:
    with pytest.raises(NotAList):
        split(text, 3)


@pytest.mark.parametrize(
    ("text", "bare", "entries"),
    [
        ("[1,2]", "[1,2]", ["1,2"]),
        (" [ [1,2] ,[3 4], ] ", "[1,2] ,[3 4]", ["1,2", "3 4"]),
        ("[1,2]\n[3,4];[5,6]", "[1,2]\n[3,4];[5,6]", ["1,2", "3,4", "5,6"]),
        ("[1,2][3,4]", "[1,2][3,4]", ["1,2][3,4"]),
        ("[]", "", []),
    ],
)
def test_entries(text: str, bare: str, entries: list[str]) -> None:
    assert bare_entries(text) == bare
    assert split_entries(bare) == entries


@pytest.mark.parametrize(
    ("entry", "numbers", "alike"),
    [
        ("1, 2", ["1", "2"], True),
        ("1 2 3 4", ["1", "2", "3", "4"], True),
        ("1 2,3 4", ["1", "2", "3", "4"], False),
        ("1,2;3,4", ["1", "2", "3", "4"], False),
        ("1,2,", ["1", "2", ""], True),
    ],
)
def test_numbers(entry: str, numbers: list[str], alike: bool) -> None:
    assert split_numbers(entry) == (numbers, alike)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        (split_values, "1" + " " * MANY + "0"),
        (split_values, "1," * MANY),
        (split_values, "true " * MANY),
        (split_names, "a" + " " * MANY + "b"),
        (split_names, "a\n" * MANY),
        (split_names, '["' + '\\"' * MANY + '"]'),
        (split_names, "['" + "a" * MANY + "']"),
        (split_values, "(" + "[" * MANY + ")"),
        (split_values, "[" + "np.a(" * MANY + ")" * MANY + "]"),
        (lambda text, _: split_entries(bare_entries(text)), "np.a(" * MANY),
        (lambda text, _: split_entries(bare_entries(text)), "(" * MANY + "1" * MANY),
        (lambda text, _: split_entries(bare_entries(text)), "[1,2]" + " " * MANY + "[3,4]"),
        (lambda text, _: split_entries(bare_entries(text)), "[0" + "] \t " * MANY + "]"),
        (lambda text, _: split_entries(bare_entries(text)), " " * MANY + "[" + " " * MANY + "[1,2]]"),
    ],
)
def test_a_long_text_takes_no_time(split: Callable[[str, int], Any], text: str) -> None:
    started = time.process_time()
    with suppress(NotAList):
        split(text, 2)
    assert time.process_time() - started < 1
