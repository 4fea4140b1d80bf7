"""How ffmpeg and ffprobe are run on a file that nobody vouches for.

The file is their standard input, opened by name once more as `file:/dev/stdin`: so they can seek in it, and no file
name, however odd, is ever read as an option, a protocol or a pattern. They may use no other protocol, no demuxer
outside `_DEMUXERS`, none of which follows a reference to another file, and no decoder outside `_DECODERS`. Each process
begins in `start`, which bounds its address space, processor time and open files; one that stands still is ended.
"""

import fcntl
import io
import os
import re
import resource
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from sam2_cog import limits
from sam2_cog.media.refusals import unreadable

SOURCE = "file:/dev/stdin"
_DEMUXERS = (
    "mov,matroska,avi,gif,apng,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,nut,mxf,rm,dv,yuv4mpegpipe,"
    "aac,ac3,aiff,flac,mp3,wav"  # sound only: to say so, instead of "not supported"
)
_DECODERS = (
    # what people record, edit and publish, in any ffmpeg from 4.3 on
    "h264,hevc,vvc,av1,libdav1d,libaom-av1,vp8,vp9,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,theora,vp3,"
    "h261,h263,h263i,h263p,flv,vp6,vp6a,vp6f,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,rv10,rv20,rv30,rv40,"
    "mjpeg,mjpegb,jpeg2000,libopenjpeg,jpegls,png,apng,gif,bmp,tiff,webp,qtrle,rawvideo,wrapped_avframe,v210,v308,v408,"
    "v410,yuv4,y41p,r10k,r210,ayuv,prores,dnxhd,cfhd,dvvideo,hap,ffv1,ffvhuff,huffyuv,hymt,utvideo,magicyuv,lagarith,"
    "cinepak,svq1,svq3,indeo3,indeo4,indeo5,msrle,msvideo1,rpza,smc,8bps,aic,dirac,cavs,snow,zlib,zmbv,camtasia,tscc2,"
    # sound
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,eac3,mp1,mp1float,mp2,mp2float,mp3,mp3float,opus,libopus,vorbis,libvorbis,"
    "flac,alac,dca,truehd,mlp,wavpack,tta,speex,libspeex,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,wmav1,wmav2,"
    "wmapro,wmalossless,wmavoice,cook,atrac3,atrac3plus,sipr,ralf,real_144,real_288,qdm2,qdmc,nellymoser,gsm,gsm_ms,"
    "adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,adpcm_yamaha,g722,g726,g726le,dvaudio,mace3,mace6,s302m,"
    "pcm_alaw,pcm_mulaw,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_u16le,pcm_u16be,pcm_s24le,pcm_s24be,pcm_u24le,pcm_u24be,"
    "pcm_s32le,pcm_s32be,pcm_u32le,pcm_u32be,pcm_s64le,pcm_s64be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,"
    "pcm_dvd,pcm_s16le_planar,pcm_s16be_planar,pcm_s24le_planar,pcm_s32le_planar,pcm_s8_planar,"
    # subtitles, which are not shown: but a file with a stream that may not be opened is refused as a whole
    "mov_text,subrip,srt,ssa,ass,webvtt,text,dvbsub,dvdsub,pgssub,xsub,cc_dec,libzvbi_teletextdec"
)
_OPEN_FILES = 64
_PIPE_BYTES = 1 << 18  # anybody may have 1 << 20 by Linux's default
_MESSAGE_BYTES = 4096
_WAIT_FOR_END_SECONDS = 10


def input_options() -> dict[str, Any]:
    """The options, for ffmpeg or ffprobe, under which a file is opened."""
    return {
        "v": "error",
        "protocol_whitelist": "file",
        "format_whitelist": _DEMUXERS,
        "codec_whitelist": _DECODERS,
        "max_pixels": limits.VIDEO_PIXELS.value,
    }


COMPACT = ("-of", "compact=p=0")
"""ffprobe's options for a line per packet or frame, which `compact_entries` reads."""


def compact_entries(line: bytes) -> dict[str, str]:
    """The entries of a line by their names."""
    return dict(item.partition("=")[::2] for item in line.decode("ascii", "replace").strip().split("|"))


def ffprobe(*options: str, source: str = SOURCE) -> list[str]:
    """The command to ask ffprobe about a file, by default its standard input."""
    bounds = [word for name, value in input_options().items() for word in (f"-{name}", str(value))]
    return ["ffprobe", *bounds, *options, source]


@lru_cache(maxsize=1)
def passthrough() -> dict[str, str]:
    """The output option that neither drops nor doubles a frame: `fps_mode` since ffmpeg 5.1, `vsync` until ffmpeg 8."""
    silent: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = start(["ffmpeg", "-h", "long"], stdout=subprocess.PIPE, **silent)
    text = process.communicate()[0]
    return {"fps_mode" if b"-fps_mode" in text else "vsync": "passthrough"}


@lru_cache(maxsize=1)
def muxer_version() -> tuple[int, int]:
    """Version of the library that reads and writes containers: (58, 45) is ffmpeg 4.3; (0, 0) where it is not told."""
    process = start(["ffmpeg", "-version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    found = re.search(rb"libavformat +(\d+)\. *(\d+)", process.communicate()[0])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def start(command: list[str], *, on_gpu: bool = False, **streams: Any) -> "subprocess.Popen[bytes]":
    """Start ffmpeg or ffprobe within the limits; `streams` are those of `subprocess.Popen`.

    on_gpu: its address space is not bounded, because CUDA reserves as much of it as the machine has memory.

    Raises:
        FileNotFoundError: the program is not installed.
    """
    process = subprocess.Popen(command, **streams)
    _widen(process.stdin, process.stdout)
    if hasattr(resource, "prlimit"):  # Linux; set from outside, because a fork of a process with threads runs no Python
        seconds = limits.SECONDS.value * (os.cpu_count() or 1)
        with suppress(ProcessLookupError, PermissionError):
            if not on_gpu:
                resource.prlimit(process.pid, resource.RLIMIT_AS, (limits.FFMPEG_BYTES.value,) * 2)
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (seconds, seconds + 5))
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (_OPEN_FILES,) * 2)
    return process


def _widen(*pipes: IO[bytes] | None) -> None:
    """Let a frame pass in larger pieces: 1080p then takes 1.3 ms of processor, not 1.7; more bytes gain nothing.

    Where the system does not allow it, the frame passes all the same.
    """
    for pipe in pipes:
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
            with suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def message_file() -> IO[bytes]:
    """A temporary file for what a process says, with room in it, so that on a full disk it can say that."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by the caller
    file.write(bytes(_MESSAGE_BYTES))
    file.seek(0)
    return file


@lru_cache(maxsize=1)
def version() -> str | None:
    """The version of ffmpeg that is installed, as it says it; None without one."""
    try:
        process = start(["ffmpeg", "-version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except FileNotFoundError:
        return None
    found = re.match(rb"ffmpeg version (\S+)", process.communicate()[0])
    return found.group(1).decode("ascii", "replace") if found else None


@contextmanager
def running(command: list[str], path: Path, inherited: Sequence[int] = ()) -> Iterator[tuple[Any, IO[bytes]]]:
    """A process with `path` as its standard input, and a file of its error messages; killed and reaped on the way out.

    inherited: descriptors that it has, too.

    Raises:
        UnreadableVideo: the program is not installed; while its output is read: it stood still, or was killed.
    """
    with path.open("rb") as source, message_file() as errors:
        try:
            streams: dict[str, Any] = {"stdin": source, "stdout": subprocess.PIPE, "stderr": errors}
            process = start(command, bufsize=0, pass_fds=inherited, **streams)
        except FileNotFoundError:
            raise unreadable(path, f"cannot be read, because the program {command[0]} is not installed") from None
        with process:
            try:
                process.stdout = io.BufferedReader(_Output(process, path))
                yield process, errors
            finally:
                process.kill()


class _Output(io.RawIOBase):
    """What a process writes to its standard output; it must come steadily, and end because the process ends itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", path: Path) -> None:
        assert process.stdout is not None
        self._process, self._path, self._pipe = process, path, process.stdout
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._poll.poll(limits.STALL_SECONDS.value * 1000):
            raise unreadable(self._path, f"could not be decoded further: {_stood_still(self._process)}")
        count = os.readv(self._pipe.fileno(), [buffer])
        if count == 0 and (killed := _killed_by(self._process)):
            raise unreadable(self._path, f"could not be decoded to its end: {killed}")
        return count

    def close(self) -> None:
        self._pipe.close()
        super().close()


def send(process: "subprocess.Popen[bytes]", content: bytes | memoryview) -> None:
    """Write all of `content` to a process's standard input.

    Raises:
        BrokenPipeError: the process has ended.
        OSError: it takes nothing more.
    """
    assert process.stdin is not None
    pipe, left = process.stdin.fileno(), memoryview(content).cast("B")
    os.set_blocking(pipe, False)
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    while left:
        if not poll.poll(limits.STALL_SECONDS.value * 1000):
            raise OSError(_stood_still(process))
        with suppress(BlockingIOError):
            left = left[os.write(pipe, left) :]


def end(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    """Close a process's standard input and wait until it has ended well.

    Raises:
        OSError: it has not; the message says why, in ffmpeg's own words where it has any.
    """
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # the exit status says why
        process.stdin.close()
    try:  # it may have to write the whole file once more, from the front
        process.wait(10 * limits.STALL_SECONDS.value)
    except subprocess.TimeoutExpired:
        raise OSError(_stood_still(process)) from None
    if process.returncode != 0:
        raise OSError(_killed_by(process) or f"ffmpeg stopped{reason(errors)}")


def has_complained(errors: IO[bytes]) -> bool:
    """Whether a process that still runs has said anything by now."""
    return os.pread(errors.fileno(), 1, 0) not in (b"", b"\0")


def reason(errors: IO[bytes]) -> str:
    """The first of a process's messages, without the names of ffmpeg's parts, to end a sentence; empty without any."""
    errors.seek(0)
    for line in errors.read(_MESSAGE_BYTES).rstrip(b"\0").decode("utf-8", "replace").splitlines():
        message = re.sub(r"^(\[[^\]]*\] *)+", "", line).replace(f"{SOURCE}: ", "").strip(" .")
        if "whitelist" in message or "m3u8" in message:  # a playlist is refused in other words from ffmpeg 6 on
            return ": files of this kind are not supported"
        if size := re.match(r"Picture size (\d+)x(\d+) exceeds", message):
            width, height = int(size[1]), int(size[2])
            return f": a picture of {width}x{height} has {limits.VIDEO_PIXELS.excess(width * height)}"
        if message:
            return f": {message[:120]}"
    return ""


def _stood_still(process: "subprocess.Popen[bytes]") -> str:
    limit = limits.STALL_SECONDS
    return f"{_name(process)} stood still for {limit.value} seconds ({limit.variable})"


def _killed_by(process: "subprocess.Popen[bytes]") -> str:
    """Which signal ended a process whose output has ended; empty if none did."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_WAIT_FOR_END_SECONDS)
    if process.returncode is None or process.returncode >= 0:
        return ""
    if process.returncode == -signal.SIGXCPU:
        return f"it took more processor time than is allowed ({limits.SECONDS.variable})"
    name = signal.Signals(-process.returncode).name
    return f"{_name(process)} was ended by {name}, perhaps for want of memory"


def _name(process: "subprocess.Popen[bytes]") -> str:
    assert isinstance(process.args, list)
    return str(process.args[0])
