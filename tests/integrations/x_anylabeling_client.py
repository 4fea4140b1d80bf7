"""X-AnyLabeling's own client class, headless, run by the interpreter of its environment.

    python x_anylabeling_client.py URL KEY STEPS.json

STEPS is a list of what a user does on a folder of frames; for each step a line of JSON says what came of it:
the messages that he reads, and the shapes on the frame. The files are written by X-AnyLabeling's own code.
"""

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import anylabeling.config
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import QApplication

MODEL = "sam2_cog_video"


def client(url: str, key: str, messages: list[str]) -> Any:
    """Its remote model, as its window would make it."""
    settings = {"server_url": url, "api_key": key}
    anylabeling.config.current_config_file = json.dumps({"remote_server_settings": settings})
    from anylabeling.services.auto_labeling.remote_server import RemoteServer

    config = {"type": "remote_server", "name": "remote", "display_name": "Remote-Server", "provider": "local"}
    remote = RemoteServer({**config, "timeout": 180, "remote_server_settings": settings}, messages.append)
    remote.get_available_models()
    remote.set_model_id(MODEL)
    return remote


def window(folder: str) -> Any:
    """What its client looks at in the window."""
    files = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    return types.SimpleNamespace(
        image_list=files, cancel_processing=False, output_dir=None, _config={"store_data": False}, _progress_dialog=None
    )


def do(remote: Any, step: dict[str, Any]) -> Any:
    """One step of the user's: open a folder, click, finish and run over a range, or load a file."""
    if "open" in step:
        remote._widget = window(step["open"])
        return {"mode": remote.get_batch_processing_mode(), "models": remote.models_info}
    if "load" in step:
        from anylabeling.views.labeling.label_file import LabelFile

        return [shape.to_dict() for shape in LabelFile(step["load"]).shapes]
    file = remote._widget.image_list[step["frame"]]
    marks = [{"type": "point", "data": point, "label": label} for point, label in step["clicks"]]
    remote.set_auto_labeling_marks(marks)
    if "finish" in step:
        remote.set_cache_auto_label(*step["finish"])
    remote._widget.cancel_processing = step.get("cancel", False)
    if "range" in step:  # its dialog "Auto Run"
        remote._widget._batch_processing_active = True
        remote._widget._batch_start_index, remote._widget._batch_end_index = step["range"]
    result = remote.predict_shapes(QImage(file), file, run_tracker=step.get("run", False))
    return [{"label": one.label, "points": [[p.x(), p.y()] for p in one.points]} for one in result.shapes]


def main(url: str, key: str, steps: str) -> None:
    """Say what came of each step."""
    application = QApplication([])
    messages: list[str] = []
    remote = client(url, key, messages)
    for step in json.loads(Path(steps).read_text()):
        found = do(remote, step)
        print(json.dumps({"found": found, "messages": messages[:], "session": remote.video_session_id}), flush=True)
        messages.clear()
        if step.get("wait"):
            sys.stdin.readline()
    remote._reset_video_session()
    del application


if __name__ == "__main__":
    main(*sys.argv[1:])
