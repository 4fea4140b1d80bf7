"""The Cog predictor: its inputs, and one call to the pipeline.

Cog reads the signature without running this file, and takes a description only as one plain string: hence literals
and long lines. `sam2_cog.request` says the same for the rest of the project, and a test compares the two.
"""
# ruff: noqa: B008, E501

import logging
import sys
import uuid

import coglet
from cog import BasePredictor, Input, Path

from sam2_cog import limits
from sam2_cog.engine.model import load_model
from sam2_cog.errors import CheckpointError, InvalidRequest
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from sam2_cog.service.boundary import allowed_file, for_strangers
from sam2_cog.service.scratch import Scratch
from sam2_cog.service.watchdog import Watchdog

logger = logging.getLogger(__name__)


class Predictor(BasePredictor):
    """Holds the network, and the last result until the next request: Cog sends it after predict()."""

    def setup(self) -> None:
        """Load the network that SAM2_MODEL names, once."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        self.scratch = Scratch()
        self.scratch.clear()
        self.watchdog = Watchdog(active=coglet.server.active)
        try:
            limits.check_environment()
            self.model = load_model()
        except (CheckpointError, InvalidRequest) as error:
            logger.error("%s", error)  # Cog's server reports only that setup failed
            raise

    def healthcheck(self) -> bool:
        """Cog asks now and then, which is the time to see that downloads have a place."""
        try:
            return self.scratch.folder().is_dir()
        except OSError:
            return False

    def predict(
        self,
        video: Path = Input(
            description="A video (MP4, MOV, MKV, WebM, GIF, ...), a .zip or a folder of numbered frames (JPEG, PNG, WebP, BMP, TIFF) or of videos (shots), or an image."
        ),
        click_coordinates: str = Input(
            default="",
            description="Clicks as [x,y],[x,y],... in pixels of the displayed frame, origin top left; [x0,y0,x1,y1] is a box around an object. Needed unless masks or boxes are given.",
        ),
        click_labels: str = Input(
            default="1",
            description="For each click 1 (foreground) or 0 (background), with commas; if there are too few, the last one repeats.",
        ),
        click_frames: str = Input(
            default="0",
            description="For each click the number of its frame, from 0, with commas; if there are too few, the last one repeats. Of shots 1:12 is frame 12 of shot 1, both from 0.",
        ),
        click_object_ids: str = Input(
            default="",
            description="For each click the name of its object, with commas; the same name is the same object. Without a name, a click is an object of its own: object_1, object_2, ...",
        ),
        click_corrections: str = Input(
            default="0",
            description="For each click 1 if it corrects the mask that was tracked up to its frame, or 0 if it starts anew there, with commas; if there are too few, the last one repeats. Background clicks alone on a frame always correct.",
        ),
        click_candidates: str = Input(
            default="0",
            description="For each click which of the network's three masks for it alone is meant, 1, 2 or 3, or 0 for the one that it rates best, with commas; if there are too few, the last one repeats. Further clicks of the object on the frame refine it.",
        ),
        masks: Path | None = Input(
            default=None,
            description="Masks of objects to follow: a .zip with masks/<object>/<frame>.png, as binary archives of this project have, or one PNG in which each value above 0 is an object.",
        ),
        mask_frames: str = Input(
            default="",
            description="The frames of a .zip of masks to use, with commas, all if empty; the frame that one PNG is on, 0 if empty.",
        ),
        boxes: Path | None = Input(
            default=None,
            description="Boxes of objects to follow, from a detector: a CSV (frame, name, x0, y0, x1, y1), a COCO data set (.json), or a YOLO text file for frame 0.",
        ),
        mask_type: str = Input(
            default="highlighted",
            description="What is shown: binary (white objects on black), highlighted (each object in its own colour), greenscreen (the objects on one colour), cutout (the objects on transparency: mov, webm, png, webp) or probability (how sure the network is of each pixel: png, npz).",
            choices=["binary", "highlighted", "greenscreen", "cutout", "probability"],
        ),
        annotation_type: str = Input(
            default="mask",
            description="How highlighted marks an object: its mask, a box with its name, or both.",
            choices=["mask", "box", "both"],
        ),
        background_color: str = Input(
            default="#00ff00",
            description="The colour behind the objects of greenscreen, as #rrggbb.",
        ),
        output_format: str = Input(
            default="mp4",
            description="mp4, mov (ProRes 4444) and webm (VP9) are videos; png, webp and jpg are a .zip of pictures with a manifest.json, or of one image one picture. A binary archive holds a folder of PNG masks per object, whatever the format. csv is a table, jsonl a line of JSON per frame, npz holds NumPy arrays; the others are data sets of frames and masks in a .zip. These all hold the masks, whatever the mask_type.",
            choices=[
                "mp4",
                "mov",
                "webm",
                "png",
                "webp",
                "jpg",
                "csv",
                "jsonl",
                "npz",
                "coco",
                "ytvis",
                "yolo",
                "davis",
                "cvat",
                "label_studio",
                "x_anylabeling",
            ],
        ),
        separate_objects: bool = Input(
            default=False,
            description="One video or folder of pictures per object, in a .zip; binary archives are always so.",
        ),
        output_quality: int = Input(
            default=80,
            description="Quality of videos, webp and jpg, from 1 (smallest file) to 100 (best picture).",
            ge=1,
            le=100,
        ),
        frame_images: str = Input(
            default="jpg",
            description="Which files a data set holds the frames in; none leaves them out.",
            choices=["jpg", "png", "none"],
        ),
        output_frame_interval: int = Input(
            default=1,
            description="Write every n-th frame; the sound is kept only when every frame is written.",
            ge=1,
        ),
        video_fps: float = Input(
            default=0,
            description="Frame rate of the output, and of a .zip of frames; 0 keeps the source's own frame times (24 for a .zip). Frames are never added or dropped, so another rate plays faster or slower, without sound.",
            ge=0,
            le=240,
        ),
        smallest_part: float = Input(
            default=0,
            description="Leaves out parts of a mask with fewer pixels than this many percent of its largest part; 0 keeps the network's masks as they are.",
            ge=0,
            le=100,
        ),
        propagation: str = Input(
            default="both",
            description="both finds the objects on every frame; forward leaves the frames before the first click empty.",
            choices=["both", "forward"],
        ),
    ) -> Path:
        """Find the clicked objects on every frame; returns the finished file."""
        try:
            source = allowed_file("video", video)
            given_masks = None if masks is None else allowed_file("masks", masks)
            given_boxes = None if boxes is None else allowed_file("boxes", boxes)
            self.scratch.clear(keep=[path for path in (source, given_masks, given_boxes) if path])
            request = Request(
                video=source,
                click_coordinates=click_coordinates,
                click_labels=click_labels,
                click_frames=click_frames,
                click_object_ids=click_object_ids,
                click_corrections=click_corrections,
                click_candidates=click_candidates,
                masks=given_masks,
                mask_frames=mask_frames,
                boxes=given_boxes,
                mask_type=mask_type,  # type: ignore[arg-type]  # Request checks it
                annotation_type=annotation_type,  # type: ignore[arg-type]
                background_color=background_color,
                output_format=output_format,
                separate_objects=separate_objects,
                output_quality=output_quality,
                frame_images=frame_images,  # type: ignore[arg-type]
                output_frame_interval=output_frame_interval,
                video_fps=video_fps,
                smallest_part=smallest_part,
                propagation=propagation,
            )
            place = self.scratch.folder() / uuid.uuid4().hex  # an upload must not overwrite another one
            with self.watchdog.deadline(limits.SECONDS.value):
                result = segment_video(request, self.model, place.with_suffix)
        except Exception as error:
            raise for_strangers(error) from None
        for note in result.notes:
            logger.info(note)
        for name, value in result.metrics.items():
            self.record_metric(name, value)
        return Path(result.path)
