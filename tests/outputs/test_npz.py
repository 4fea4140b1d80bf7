"""The .npz, read by numpy.load: exact masks, logits that enlarge to them, scores."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sam2_cog.masks import no_masks
from sam2_cog.media.video import VideoInfo
from tests.outputs.written import soft_masks_of, spec_for, write


def test_numpy_reads_masks_logits_and_scores(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.npz"), frame_interval=2, names=("Änne", "b"))
    with np.load(write(spec, "npz", soft_masks_of)) as arrays:
        assert arrays["frame"].tolist() == [0, 2, 4] and arrays["names"].tolist() == ["Änne", "b"]
        assert np.allclose(arrays["time_seconds"], np.array([0, 2, 4]) / 24, atol=1e-3)
        assert arrays["score"].shape == arrays["presence"].shape == (3, 2) and arrays["score"].dtype == np.float32
        for number, index in enumerate((0, 2, 4)):
            found = soft_masks_of(dataset_clip, index)
            masks, logits = arrays[f"masks/{number:05d}"], arrays[f"logits/{number:05d}"]
            assert masks.dtype == bool and (masks == found.array()).all()
            assert logits.dtype == np.float16 and found.soft is not None and (logits == found.soft).all()
            large = [cv2.resize(plane.astype(np.float32), (96, 64)) > 0 for plane in logits]
            assert (np.array(large) == masks).all() and np.array_equal(arrays["score"][number], found.scores)
        assert json.loads(arrays["manifest.json"])["frames"][2]["frame"] == 4


def test_frames_that_were_not_tracked_have_no_logits(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    path = write(spec_for(dataset_clip, tmp_path / "out.npz"), "npz", lambda info, index: no_masks(index, 2, (64, 96)))
    with np.load(path) as arrays:
        assert not arrays["masks/00005"].any() and not any(name.startswith("logits") for name in arrays.files)
