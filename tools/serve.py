"""Run Cog's HTTP server without Docker, as `make serve` does, and start it again when it ended with an error.

    HOST=127.0.0.1 PORT=5000 SAM2_MODEL=demo python -m tools.serve

A container does without: whatever started it does the same.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from omegaconf import OmegaConf

from sam2_cog.service.boundary import LOCAL_FILES
from tools import cog_schema

ROOT = cog_schema.ROOT
SHORTEST_LIFE_SECONDS = 3.0
"""A server that lived no longer could not start at all, as where its port is taken."""


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    cog_schema.main()
    stopped: list[int] = []
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, lambda number, _: stopped.append(number))
    while True:
        begin = time.monotonic()
        process = subprocess.Popen([*command(), "--host", os.environ.get("HOST") or "127.0.0.1"], env=environment())
        code = _wait(process, stopped)
        if stopped or code == 0:
            return 0
        if time.monotonic() - begin < SHORTEST_LIFE_SECONDS:
            return code
        print("The server ended with an error and is started again.", flush=True)


def command() -> list[str]:
    """Cog's server in this Python."""
    return [sys.executable, "-m", "cog.server.http"]


def environment() -> dict[str, str]:
    """What Cog's server needs to know; the files of samples/ may be named in requests unless it says otherwise."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it starts its worker as `python`
    given = {"COG_PREDICT_TYPE_STUB": "predict.py:Predictor", "PATH": path}
    return {LOCAL_FILES: str(ROOT / "samples")} | container_environment() | dict(os.environ) | given


def container_environment() -> dict[str, str]:
    """What cog.yaml sets."""
    items = OmegaConf.load(ROOT / "cog.yaml").environment
    return dict(str(item).split("=", 1) for item in items)


def _wait(process: "subprocess.Popen[bytes]", stopped: list[int]) -> int:
    """The exit code of the server, which is told when this process is told to stop."""
    told = False
    while (code := process.poll()) is None:
        if stopped and not told:
            process.terminate()
            told = True
        time.sleep(0.2)
    return code


if __name__ == "__main__":
    sys.exit(main())
