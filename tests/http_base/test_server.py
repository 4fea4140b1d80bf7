"""The server: its socket, and how it stops."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.server import listen


def test_a_port_that_is_taken_is_refused_in_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(InvalidRequest, match=r"^port: .* 127\.0\.0\.1, port \d+: "):
        listen("127.0.0.1", taken.getsockname()[1])
    for host, port in (("no.such.host.invalid", 0), ("127.0.0.1", 99999)):
        with pytest.raises(InvalidRequest, match=r"^port: "):
            listen(host, port)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_stops_in_good_order(stop: signal.Signals) -> None:
    code = (
        "from sam2_cog.http_base.application import application\n"
        "from sam2_cog.http_base.server import listen, serve\n"
        "listener = listen('127.0.0.1', 0)\nprint(listener.getsockname()[1], flush=True)\n"
        "serve(application([]), listener)\nprint('done')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"404" in client.recv(1000)
            os.kill(process.pid, stop)
            out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in err
    assert (process.returncode, out) == (0, "done\n")
