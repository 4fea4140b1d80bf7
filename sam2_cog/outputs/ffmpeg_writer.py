"""One ffmpeg process that makes a video file of raw frames, each sent with its time."""

import subprocess
import tempfile
from contextlib import suppress
from fractions import Fraction
from typing import IO

from sam2_cog.media.ffmpeg_run import reason
from sam2_cog.outputs.raw_matroska import TICKS_PER_SECOND, frame_header
from sam2_cog.painting.captions import Picture


class FfmpegWriter:
    """ffmpeg, fed through its standard input; what it complains of becomes the reason of an `OSError`."""

    def __init__(self, command: list[str], header: bytes) -> None:
        """Start the command; `header` is what goes before the first frame (see `raw_matroska`)."""
        self._messages: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._messages
            )
        except BaseException as error:
            self._messages.close()
            if isinstance(error, FileNotFoundError):
                raise OSError("the program ffmpeg is not installed") from error
            raise
        self._send(header)

    def write(self, picture: Picture, seconds: Fraction) -> None:
        """Send an (H, W, channels) uint8 frame that is shown at `seconds` >= 0."""
        self._send(frame_header(round(seconds * TICKS_PER_SECOND), picture.nbytes))
        self._send(picture.data)

    def finish(self) -> None:
        """Wait until the file is complete."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the exit status says why
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise OSError(self._reason())

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.communicate()
        self._messages.close()

    def _send(self, content: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(content)
        except BrokenPipeError as error:
            self._process.wait()
            raise OSError(self._reason()) from error

    def _reason(self) -> str:
        """Why ffmpeg gave up, in its own words."""
        return f"ffmpeg stopped{reason(self._messages)}"
