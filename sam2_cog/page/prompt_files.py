"""The files of masks and boxes that were uploaded for the clip that is open, and what the page calls them."""

import shutil
from pathlib import Path

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest, quoted
from sam2_cog.http_base.answers import Json
from sam2_cog.page.wire import PROMPT_FILES


class PromptFiles:
    """Each file lies in a folder of its own. Requests call it `<folder>/<name>`; a saved session knows its name alone.

    A file that the request does not name any more is kept, for an undo; the oldest go where all take too much room.
    """

    def __init__(self) -> None:
        self._kept: list[Path] = []

    def add(self, path: Path) -> str:
        """Take up a file; returns what requests call it."""
        self._kept.append(path)
        while len(self._kept) > 1 and limits.PROMPT_FILE_BYTES.excess(sum(kept.stat().st_size for kept in self._kept)):
            shutil.rmtree(self._kept.pop(0).parent, ignore_errors=True)
        return called(path)

    def remove(self) -> None:
        """Nothing is left of any."""
        while self._kept:
            shutil.rmtree(self._kept.pop().parent, ignore_errors=True)

    def found(self, inputs: Json) -> Json:
        """The inputs with the paths of the files that they name; InvalidRequest for one that is not here."""
        named = {name: self._find(name, inputs[name]) for name in PROMPT_FILES if isinstance(inputs.get(name), str)}
        return inputs | named

    def _find(self, name: str, text: str) -> Path:
        for path in reversed(self._kept):
            if text in (called(path), path.name):
                return path
        raise InvalidRequest(f"{name}: {quoted(text.rpartition('/')[2])} is not here, choose the file again")


def called(path: Path) -> str:
    """What requests call an uploaded file."""
    return f"{path.parent.name}/{path.name}"
