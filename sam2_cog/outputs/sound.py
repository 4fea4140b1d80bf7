"""The source's sound beside new pictures: copied where the container holds its codec, else encoded anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ffmpeg

from sam2_cog.media.ffmpeg_run import input_options, muxer_version
from sam2_cog.media.frame_times import JUMP_AHEAD_SECONDS, JUMP_BACK_SECONDS
from sam2_cog.media.video import VideoInfo, describe

_SECONDS_BEFORE = 2  # until a decoder of sound that begins in the middle is right


@dataclass(frozen=True)
class SoundRule:
    """What a container makes of sound."""

    container: str
    """Its name as users know it."""
    copied: frozenset[str]
    """Codecs that ffmpeg's muxer takes as they are, by ffmpeg's names."""
    encoder: str
    """ffmpeg's encoder for all others."""
    codec: str
    """Its codec's name as users know it."""
    since: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The version of ffmpeg's muxers from which on a codec of `copied` is taken, where that is not always so."""

    def keeps(self, codec: str) -> bool:
        """Whether this machine's ffmpeg takes the packets of a codec as they are."""
        return codec in self.copied and muxer_version() >= self.since.get(codec, (0, 0))


def sound_tracks(video: VideoInfo, rule: SoundRule) -> tuple[list[Any], dict[str, Any], list[str]]:
    """The source's sound tracks as ffmpeg's streams, timed from the clip's beginning; options for their codecs; notes.

    Sound whose clock jumps is always encoded anew: it is moved, cut and filled up to stay with the picture. So is that
    of a part of a clip, from its first frame to its last one's end. The notes are sentences of what is lost.
    """
    if not video.has_audio:
        return [], {}, []
    tracks = describe(video.path, "-select_streams", "a")[0]
    tracks = [track for track in tracks if "codec_name" in track]  # ffmpeg can do nothing with the others
    name = f"file:{video.path.absolute()}"
    begins = float(video.clock_start * video.time_base)
    source = ffmpeg.input(name, itsoffset=f"{-begins:.9f}", **_seek(video), **input_options())
    streams = [source[str(track["index"])] for track in tracks]
    changed = ""
    if video.clock_shifts:
        streams = [_continuous(stream, video) for stream in streams]
        changed = f"because the clock of {video.path.name} jumps"
    if extent := _extent(video):
        streams = [stream.filter("atrim", **extent) for stream in streams]
        changed = "because it is cut to a part of the video"
    notes = []
    codecs: dict[str, Any] = {"strict": "experimental"}  # FLAC in MP4 counts as that up to ffmpeg 5
    for position, track in enumerate(tracks):
        copied = rule.keeps(track["codec_name"])
        codecs[f"c:a:{position}"] = "copy" if copied and not changed else rule.encoder
        if not copied:
            reason = f"because {rule.container} cannot hold {track['codec_name']}"
            notes.append(f"The sound is re-encoded as {rule.codec}, {reason}.")
    if changed:
        notes = [f"The sound is re-encoded as {rule.codec}, {changed}."]
    return streams, codecs, notes


def _extent(video: VideoInfo) -> dict[str, float]:
    """Of a part of a clip: where its sound begins and ends in seconds; not where the clip itself does."""
    begins, ends = video.numbers[0] > 0, video.numbers[-1] < video.whole.frame_count - 1
    last = float(int(video.pts[0]) * video.time_base) + video.duration_seconds
    return ({"start": 0} if begins else {}) | ({"end": last} if ends else {})


def _seek(video: VideoInfo) -> dict[str, Any]:
    """Options to read from a little before a part that begins in the middle, unless the clock of the file jumps."""
    if not video.numbers[0] or video.clock_shifts:
        return {}
    seconds = max(0.0, float(video.clock_start * video.time_base) - _SECONDS_BEFORE)
    return {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{seconds:.6f}"}


def _continuous(stream: Any, video: VideoInfo) -> Any:
    """Sound whose clock jumps as the picture's does: moved by as much, with overlaps cut and gaps filled."""
    back, ahead = float(JUMP_BACK_SECONDS), JUMP_AHEAD_SECONDS
    count_jumps = f"st(0,ld(0)+gt(N,0)*(lt(T,PREV_INT-{back})+gt(T,PREV_INT+{ahead})))"
    shifts = [float(shift * video.time_base) for shift in (0, *video.clock_shifts)]
    steps = [f"gte(ld(0),{jump})*{shifts[jump] - shifts[jump - 1]:.9f}" for jump in range(1, len(shifts))]
    moved = stream.filter("asetpts", f"{count_jumps};PTS+({'+'.join(steps)})/TB")
    return moved.filter("aresample", **{"async": 1, "min_hard_comp": 0.01})
