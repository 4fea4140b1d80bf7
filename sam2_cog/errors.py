"""The errors that a user sees. Each message is one sentence: the input, the value, and what is allowed."""


class InvalidRequest(ValueError):
    """The request cannot be carried out as it stands; the message says which input to change, and how."""


class UnreadableVideo(ValueError):
    """The video cannot be decoded; the message names the file and what was found in it."""


class CheckpointError(RuntimeError):
    """A checkpoint is missing, cannot be fetched, or is not the published file."""
