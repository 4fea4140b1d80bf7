"""One ffmpeg process that makes a video file of raw frames, each sent with its time."""

import subprocess
from fractions import Fraction

from sam2_cog.media.ffmpeg_run import end, message_file, send, start
from sam2_cog.outputs.raw_matroska import TICKS_PER_SECOND, frame_header
from sam2_cog.painting.captions import Picture


class FfmpegWriter:
    """ffmpeg, fed through its standard input; what it complains of becomes the reason of an `OSError`."""

    def __init__(self, command: list[str], header: bytes, *, on_gpu: bool = False) -> None:
        """Start the command; `header` is what goes before the first frame (see `raw_matroska`)."""
        self._messages = message_file()
        try:
            self._process = start(
                command,
                on_gpu=on_gpu,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._messages,
                bufsize=0,
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
        end(self._process, self._messages)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.communicate()
        self._messages.close()

    def _send(self, content: bytes | memoryview) -> None:
        try:
            send(self._process, content)
        except BrokenPipeError:
            end(self._process, self._messages)  # says why it ended
            raise
