"""The containers' health check, against servers that answer, fail and are not there."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "common" / "container" / "health.py"


@pytest.fixture
def server():
    """A server whose answer's status is `server.status`; it listens before the test begins."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    made.status = 200
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def check(port, **variables):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")} | variables
    command = [sys.executable, str(SCRIPT), str(port)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_whatever_it_says_it_lives(server, status):
    server.status = status
    assert check(server.server_port).returncode == 0


def test_an_error_of_its_own_is_none(server):
    server.status = 500
    assert "answers 500" in check(server.server_port).stderr


def test_nobody_there(server):
    port = server.server_port
    server.server_close()
    ended = check(port)
    assert ended.returncode == 1
    assert f"port {port} does not answer" in ended.stderr


def test_the_hub_says_which_port(server):
    url = f"http://0.0.0.0:{server.server_port}/user/ann/"
    assert check(1, JUPYTERHUB_SERVICE_URL=url).returncode == 0
