"""The network as torch's compiler makes it, beside the plain one; here, because it takes a minute or two."""

import shutil
from collections.abc import Sequence

import pytest
from torch import Tensor

from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.engine.quick import AS_IT_IS
from tests.engine.test_quick import STEADY_FRAME, masks

LEAST_IOU = 0.999


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiling needs a C++ compiler")
def test_compiled_masks_are_nearly_the_same(
    demo_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SAM2_COMPILE", "1")
    model = load_model("demo", device="cpu")
    frames = STEADY_FRAME + 4
    calls: list[int] = []
    step = model.steps._steady_step

    def counted(*given: Tensor) -> Sequence[Tensor]:
        calls.append(len(given[3]))
        return step(*given)

    monkeypatch.setattr(model.steps, "_steady_step", counted)
    for found, expected in zip(masks(model, frames), masks(demo_model, frames), strict=True):
        assert expected.any() and (found & expected).sum() / (found | expected).sum() >= LEAST_IOU
    assert calls == [2] * 4 and AS_IT_IS not in caplog.text
