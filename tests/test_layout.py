"""The house has one flow in one direction: which room may import from which, read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LONG

PACKAGE = Path(__file__).parent.parent / "sam2_cog"
CELLAR = {"errors", "held", "limits", "masks", "progress", "prompts", "request"}
ROOMS = {"media", "engine", "painting", "outputs"}
"""What each room may import, itself left out; whatever is not named here is a door, and may import all but doors."""
ALLOWED = {
    "errors": set(),
    "held": set(),
    "limits": {"errors"},
    "masks": {"errors", "limits"},
    "progress": set(),
    "reading": {"errors", "limits", "masks", "media"},
    "prompts": {"errors", "limits", "masks", "reading"},
    "request": {"errors", "limits", "prompts", "reading"},
    "media": {"errors", "held", "limits"},
    "engine": {"errors", "held", "limits", "masks", "prompts", "media"},
    "painting": {"errors", "limits", "masks", "request"},
    "outputs": CELLAR | {"overlap", "media", "painting"},
    "overlap": set(),
    "runs": CELLAR | ROOMS | {"reading", "overlap"},
    "pipeline": CELLAR | ROOMS | {"overlap", "runs"},
    "session": CELLAR | ROOMS | {"reading", "runs", "pipeline"},
    "evaluate": CELLAR | ROOMS | {"runs", "pipeline", "session"},
}
DOORS_OPEN_TO = set(ALLOWED) | {"http_base"}
HEAVY = {"torch", "cv2", "ffmpeg", "sam2"}


def imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    own = room(path)
    if own in ("__main__", "__init__", "doors"):
        return
    taken = {name.split(".")[1] for name in imports(path) if name.startswith("sam2_cog.")}
    assert taken - {own} <= ALLOWED.get(own, DOORS_OPEN_TO)


@pytest.mark.parametrize(
    "name", ["request", "prompts", "reading/click_lists", "reading/value_lists", "limits", "errors"]
)
def test_what_is_asked_for_is_read_without_heavy_libraries(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(PACKAGE / f"{name}.py")} & HEAVY


def test_the_network_knows_no_ffmpeg_and_the_media_no_network() -> None:
    for path in PACKAGE.rglob("*.py"):
        heavy = {module.split(".")[0] for module in imports(path)} & HEAVY
        assert not ("ffmpeg" in heavy and room(path) == "engine"), path
        assert not (heavy & {"torch", "sam2"} and room(path) in ("media", "painting", "outputs")), path


def test_every_temporary_folder_is_held() -> None:
    """Else what a killed process leaves would stay for ever: outside of a folder that is held, files have no names."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and path.name != "held.py":
                called = ast.unparse(node.func).rpartition(".")[2]
                inside = any(word.arg == "dir" for word in node.keywords)
                assert called not in ("TemporaryDirectory", "NamedTemporaryFile", "mkstemp"), path
                assert called != "mkdtemp" or inside, path


def test_the_tests_that_are_begun_first_are_there() -> None:
    assert [name for name in LONG if not (Path(__file__).parent / name).is_file()] == []
