"""The errors that a user sees: each message is one sentence with the input, the value as typed, and what is allowed."""


class InvalidRequest(ValueError):
    """The request cannot be carried out as it stands; the message says which input to change, and how."""


class UnreadableVideo(ValueError):
    """The video cannot be decoded; the message names the file and what was found in it."""


class CheckpointError(RuntimeError):
    """A checkpoint is missing, cannot be fetched, or is not the published file."""


class ReaderGone(Exception):
    """Who reads the results from the standard output wants no more of them."""


def first_line(error: Exception) -> str:
    """What an error of a library says, as the end of a sentence of ours: its first line, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def quoted(text: str) -> str:
    """A user's text for a message: on one line, control characters escaped, at most about 40 characters of it."""
    shown = repr(shortened(text))
    return shown if len(shown) < 80 else repr(text[:9] + "...")  # mostly escapes


def shortened(text: str) -> str:
    """At most 40 characters of a text."""
    return text if len(text) <= 40 else text[:37] + "..."
