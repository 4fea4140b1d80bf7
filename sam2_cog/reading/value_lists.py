"""Lists as people write them in a request -> the texts of their values, each as it was typed.

White space is a separator and never glue: between two values stands white space, a comma or a semicolon, or white
space with one of the two in it. Names may hold spaces, so only commas and new lines separate them. One comma or
semicolon may end a list. A pair of brackets, square ones or a tuple's, may enclose it; in brackets the values may be
in quotes, as JSON and Python print lists, or in NumPy's names for them, as in `np.float64(0.5)`. Nothing here knows
what the values mean; work and memory are linear in the length of the text.
"""

import json
import re
from itertools import chain, islice

_COMMA = re.compile("[,;]")
_TUPLE = re.compile(r"\(([^()\[\]]*)\)")
_NUMPY_SCALAR = re.compile(r"np\.(?:\w{1,16}\((.*)\)|(True|False)_)")
_NUMPY_NUMBER = re.compile(r"np\.\w{1,16}\(([^()\[\]]*)\)")
_BETWEEN_ENTRIES = re.compile(r"\](?:\s*[,;]\s*|\s+)\[")


class NotAList(ValueError):
    """Brackets or quotes of a text are not in pairs, or not where those of a list are."""


def split_values(text: str, most: int) -> list[str]:
    """`1, 0`, `1 0`, `[1;0]`, `["1","0"]` -> `1`, `0`; between two commas without a value is an empty one.

    After `most` values comes at most one more, unread: the sign that there are too many. Raises NotAList.
    """
    body, bracketed = _body(text, ",;")
    pieces = _COMMA.split(body, maxsplit=most) if body else []
    values = list(islice(chain.from_iterable(piece.split(None, most) or [""] for piece in pieces), most + 1))
    return _unquoted(values, most) if bracketed else values


def split_names(text: str, most: int) -> list[str]:
    """`red bird, dog`, `["red bird", "dog"]` -> `red bird`, `dog`; white space inside a name becomes one space.

    In brackets `null` (in Python `None`) is an empty name, and a name with a bracket in front or without its like must
    be in quotes. After `most` names comes at most one more, unread: the sign that there are too many. Raises NotAList.
    """
    body, bracketed = _body(text, ",")
    pieces = body.split(",", most) if body else []
    names = list(islice(chain.from_iterable(_lines(piece) or [""] for piece in pieces), most + 1))
    if bracketed:
        return _unquoted(["" if name in ("null", "None") else name for name in names], most)
    return [_in_pairs(name) for name in names[:most]] + names[most:]


def bare_entries(text: str) -> str:
    """`[1,2],[3,4]`, `[[1,2],[3,4]]` or `[(1,2),(3,4)]` -> `[1,2],[3,4]`; an empty text for an empty list.

    Raises NotAList.
    """
    squared = _TUPLE.sub(r"[\1]", _NUMPY_NUMBER.sub(r"\1", text))
    body = _without_end(squared.strip(), ",;")
    if (body[:1], body[-1:]) in (("[", "]"), ("(", ")")) and body[1:].lstrip()[:1] in ("[", "]"):
        body = _without_end(body[1:-1].strip(), ",;")
    if body and not (len(body) > 1 and body.startswith("[") and body.endswith("]")):
        raise NotAList
    return body


def split_entries(bare: str) -> list[str]:
    """`[1,2],[3,4]` as `bare_entries` gives it -> `1,2` and `3,4`, unread."""
    return _BETWEEN_ENTRIES.split(bare[1:-1]) if bare else []


def split_numbers(entry: str) -> tuple[list[str], bool]:
    """`1,2` or `1 2` -> the texts of the numbers, and whether all of them are separated alike."""
    pieces = _COMMA.split(entry)
    numbers = [number for piece in pieces for number in piece.split() or [""]]
    ways = set(_COMMA.findall(entry)) | ({" "} if len(numbers) > len(pieces) else set())
    return numbers, len(ways) < 2


def _body(text: str, separators: str) -> tuple[str, bool]:
    """The list without its brackets, and whether it had any."""
    body = _without_end(text.strip(), separators)
    if body.startswith("(") and body.endswith(")") and ")" not in body[1:-1].partition("(")[0]:  # a tuple
        body = f"[{body[1:-1]}]"
    if not body.startswith("["):
        return body, False
    if not body.endswith("]") or len(body) == 1:
        raise NotAList
    return _without_end(body[1:-1].strip(), separators), True


def _without_end(body: str, separators: str) -> str:
    """The list without the one separator that may end it."""
    return body[:-1].rstrip() if body.endswith(tuple(separators)) else body


def _lines(piece: str) -> list[str]:
    """What stands on each line that is not blank."""
    return [" ".join(line.split()) for line in piece.splitlines() if line.strip()]


def _unquoted(values: list[str], most: int) -> list[str]:
    """The values, the first `most` of them without their quotes."""
    return [" ".join(_unquote(value).split()) for value in values[:most]] + values[most:]


def _unquote(value: str) -> str:
    if scalar := _NUMPY_SCALAR.fullmatch(value):
        value = scalar[1] or scalar[2] or ""
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError as error:
            raise NotAList from error
    if value.startswith("'"):
        if not re.fullmatch(r"'[^'\\]*'", value):
            raise NotAList
        return value[1:-1]
    if '"' in value:
        raise NotAList
    return _in_pairs(value)


def _in_pairs(value: str) -> str:
    """`dog[1]` and `dog (left)`, but not `(dog` or `cat]`, which are parts of a list."""
    if value.startswith(("[", "(")) or any(
        value.count(opening) != value.count(closing) for opening, closing in ("[]", "()")
    ):
        raise NotAList
    return value
