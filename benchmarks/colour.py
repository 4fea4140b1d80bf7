"""What do colours cost? Processor milliseconds a 1080p frame, decoding included: `python -m benchmarks.colour`.

One clip, coded as SDR (8 bits), HLG and PQ (10 bits, BT.2020), is read in each way in turn: not converted at all, as
the project reads it, and in other ways that ffmpeg has. All processor time counts, that of the reading process too; the
fastest of the repeats counts.
"""

import argparse
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sam2_cog.media.to_bt709 import Colours
from sam2_cog.media.video import probe, read_frames
from tests.wide_colours import write_wide_clip

SIZE = (1920, 1080)
SAMPLE = Path(__file__).parent.parent / "samples" / "two_birds.mp4"
_FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int"
_TO_LINEAR = "zscale=transfer=linear:npl=203,format=gbrpf32le,zscale=primaries=bt709"
FILTERS = {  # what ffmpeg is given in place of the project's way, for clips of each kind
    "SDR": {"packed RGB at once": f"scale={_FLAGS},format=rgb24", "swscale's quick path": "scale,format=rgb24"},
    "HDR": {
        "not converted": f"scale={_FLAGS},format=gbrp,format=rgb24",
        "zscale and tonemap": f"{_TO_LINEAR},tonemap=mobius,zscale=transfer=bt709,format=gbrp,format=rgb24",
        "lut3d of 33 nodes": f"scale={_FLAGS},format=gbrp16le,lut3d={{lut}},format=rgb24",
    },
}
_CODEC = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt")
KINDS = {"SDR": None, "HLG": Colours("HLG", "BT.2020"), "PQ": Colours("PQ", "BT.2020")}


def main() -> None:
    """Print a table for each kind of clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few small frames, to try the program")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.repeats = 4, 1
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for kind, colours in KINDS.items():
            clip = _clip(Path(folder), kind, colours, arguments.frames, (320, 180) if arguments.quick else SIZE)
            _table(kind, clip, Path(folder), arguments.frames, arguments.repeats)


def _table(kind: str, clip: Path, folder: Path, frames: int, repeats: int) -> None:
    print(f"\n{kind + ': processor milliseconds a frame':44}    all  beside decoding")
    info = probe(clip)
    ways: dict[str, Callable[[], None]] = {"decoded only": _filtered(clip, "null", to_pipe=False)}
    ways["this project"] = lambda: [frame.image for frame in read_frames(info)].clear()
    lut = folder / "identity.cube"
    lut.write_text(_identity(33))
    for name, filters in FILTERS["SDR" if kind == "SDR" else "HDR"].items():
        ways[f"ffmpeg: {name}"] = _filtered(clip, filters.format(lut=lut))
    decoding = 0.0
    for name, way in ways.items():
        try:
            cost = 1000 * min(_processor_seconds(way) for _ in range(repeats)) / frames
        except subprocess.CalledProcessError:  # this ffmpeg has no such filter
            print(f"{name:44}  not in this ffmpeg")
            continue
        decoding = decoding or cost
        print(f"{name:44}  {cost:5.1f}  {cost - decoding:15.1f}", flush=True)


def _filtered(clip: Path, filters: str, to_pipe: bool = True) -> Callable[[], None]:
    output = ["-f", "rawvideo", "pipe:"] if to_pipe else ["-f", "null", "-"]
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(clip), "-vf", filters, *output]

    def run() -> None:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while process.stdout.read(1 << 20):
                pass
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    return run


def _processor_seconds(way: Callable[[], None]) -> float:
    begin = _used()
    way()
    return _used() - begin


def _used() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _clip(folder: Path, kind: str, colours: Colours | None, frames: int, size: tuple[int, int]) -> Path:
    """The sample's first frames, enlarged, with grain as a camera has it."""
    noise, images = np.random.default_rng(0), []
    for frame in read_frames(probe(SAMPLE), 0, frames):
        large = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_CUBIC)).astype(np.float32)
        images.append((large + noise.normal(0, 2, large.shape)).clip(0, 255).astype(np.uint8))
    path = folder / f"{kind}.mp4"
    if colours:
        return write_wide_clip(path, np.stack(images), colours, (*_CODEC, "yuv420p10le"))
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-i", "-"]
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    subprocess.run(
        [*command, "-vf", "scale=out_color_matrix=bt709", *_CODEC, "yuv420p", *tags, str(path)],
        input=np.stack(images).tobytes(),
        check=True,
    )
    return path


def _identity(nodes: int) -> str:
    """A table that changes nothing: its content costs nothing."""
    steps = np.linspace(0, 1, nodes)
    lines = (f"{red:.5f} {green:.5f} {blue:.5f}\n" for blue in steps for green in steps for red in steps)
    return f"LUT_3D_SIZE {nodes}\n" + "".join(lines)


if __name__ == "__main__":
    main()
