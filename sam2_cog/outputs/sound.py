"""The source's sound beside new pictures: copied where the container holds its codec, else encoded anew."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from sam2_cog.media.ffmpeg_run import input_options
from sam2_cog.media.video import VideoInfo, describe


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


def sound_tracks(
    video: VideoInfo, shift_seconds: Fraction, rule: SoundRule
) -> tuple[list[Any], dict[str, Any], list[str]]:
    """The source's sound tracks as ffmpeg's streams, moved by so much; its options for their codecs; what is lost."""
    if not video.has_audio:
        return [], {}, []
    tracks = describe(video.path, "-select_streams", "a")[0]
    tracks = [track for track in tracks if "codec_name" in track]  # ffmpeg can do nothing with the others
    name = f"file:{video.path.absolute()}"
    source = ffmpeg.input(name, itsoffset=f"{float(shift_seconds):.9f}", **input_options())
    notes = []
    codecs: dict[str, Any] = {"strict": "experimental"}  # FLAC in MP4 counts as that up to ffmpeg 5
    for position, track in enumerate(tracks):
        copied = track["codec_name"] in rule.copied
        codecs[f"c:a:{position}"] = "copy" if copied else rule.encoder
        if not copied:
            reason = f"because {rule.container} cannot hold {track['codec_name']}"
            notes.append(f"The sound is re-encoded as {rule.codec}, {reason}.")
    return [source[str(track["index"])] for track in tracks], codecs, notes
