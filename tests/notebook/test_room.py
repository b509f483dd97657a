"""The room's own promises: Python 3.6, nothing but the standard library and IPython, the way to the server."""

import ast
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib import parse

import pytest

from kf_spawner.notebook import KfError, connection, display, watch

ROOM = Path(connection.__file__).parent


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_a_file_is_python_3_6_and_imports_little(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.NamedExpr | ast.JoinedStr), f"{path.name}:{node.lineno}"
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [(node.module or "").split(".")[0]]
        else:
            continue
        for name in names:
            assert name == "IPython" or name in sys.stdlib_module_names, f"{path.name} imports {name}"
            assert name not in ("dataclasses", "contextvars"), f"{path.name}: Python 3.6 has no {name}"


@pytest.fixture
def environment(monkeypatch):
    for name in (
        "JUPYTERHUB_API_TOKEN",
        "JUPYTERHUB_SERVICE_PREFIX",
        "JUPYTERHUB_SERVICE_URL",
        "JUPYTER_RUNTIME_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("http://127.9.0.3:8888/user/admin/", "http://127.9.0.3:8888/user/admin/"),
        ("http://0.0.0.0:8888/user/admin/", "http://127.0.0.1:8888/user/admin/"),
        ("http://[::]:8889/user/admin/", "http://[::1]:8889/user/admin/"),
        ("", "http://127.0.0.1:8888/user/admin/"),
    ],
)
def test_below_a_hub_the_server_is_where_the_hub_said(environment, service, url):
    environment.setenv("JUPYTERHUB_API_TOKEN", "t")
    environment.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/admin/")
    environment.setenv("JUPYTERHUB_SERVICE_URL", service)
    assert connection.connect().url == url


def test_without_a_hub_it_is_the_server_that_started_the_kernel(environment, tmp_path):
    environment.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    environment.setenv("JPY_PARENT_PID", "42")
    (tmp_path / "jpserver-41.json").write_text(json.dumps({"url": "http://other/", "token": "x"}))
    (tmp_path / "jpserver-42.json").write_text(json.dumps({"url": "http://localhost:1/", "token": "t"}))
    assert connection.connect().url == "http://localhost:1/"


def test_a_kernel_without_a_server_is_told(environment, tmp_path):
    environment.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    environment.setenv("HOME", str(tmp_path))
    environment.setenv("JPY_PARENT_PID", "42")
    with pytest.raises(KfError, match="open the notebook in JupyterLab"):
        connection.connect()


NOT_ENABLED = "kf_spawner.extension is not enabled"


@pytest.fixture
def refuse(monkeypatch):
    """The error of a call that a server answers with this status and body."""

    def call(status, body):
        class Refusing(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        with HTTPServer(("127.0.0.1", 0), Refusing) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with pytest.raises(KfError) as error:
                connection.Connection(f"http://127.0.0.1:{server.server_port}/", "t").call("GET", "x")
            thread.join()
        return error.value

    return call


@pytest.mark.parametrize(
    ("status", "body", "reason", "message"),
    [
        (404, b"<html>Not Found</html>", "HTTP404", NOT_ENABLED),
        (404, b'{"message": "Not Found", "reason": null}', "HTTP404", NOT_ENABLED),
        (404, b"[]", "HTTP404", NOT_ENABLED),
        (404, b'{"reason": "NotFound", "message": "there is no TFJob"}', "NotFound", "there is no TFJob"),
        (404, b'{"reason": "NoSuchPath", "message": "no route yet"}', "NoSuchPath", "no route yet"),
        (404, b'{"error": "Servable not found for request"}', "HTTP404", "Servable not found for request"),
        (400, b'{"error": "instances is missing"}', "HTTP400", "instances is missing"),
        (500, b"oh", "HTTP500", "the server answered 500"),
    ],
)
def test_an_error_tells_what_the_answer_says(refuse, status, body, reason, message):
    error = refuse(status, body)
    assert error.reason == reason
    assert message in str(error)


def test_an_endpoint_shows_its_versions_but_not_those_that_had_their_time():
    versions = [
        {"version": 4, "state": "LOADING", "message": ""},
        {"version": 3, "state": "END", "message": "it has no <signature>"},
        {"version": 2, "state": "AVAILABLE", "message": ""},
        {"version": 1, "state": "END", "message": ""},
    ]
    view = {"name": "digits", "state": "Ready", "message": "", "versions": versions}
    assert display.endpoint_text(view).splitlines() == [
        "Endpoint digits: Ready",
        "  version 4 is being loaded",
        "  version 3 is not served - it has no <signature>",
        "  version 2 is served",
    ]
    assert "version 3 is not served - it has no &lt;signature&gt;" in display.endpoint_html(view)


def piece(replica, time, line, **more):
    return {"type": "log", "replica": replica, "time": time, "line": line, **more}


def test_a_long_line_is_one_line():
    """Also among the lines of others, and where its end never came."""
    end = {"type": "end", "state": "Failed"}
    items = [
        piece("w-0", "1", "ab", continues=True),
        piece("w-1", "1", "other"),
        piece("w-0", "1", "cd", continues=True),
        {"type": "ping"},
        piece("w-0", "1", "ef"),
        piece("w-0", "1", "ab", continues=True),
        piece("w-0", "", "(the rest cannot be read)"),
        piece("w-1", "2", "last", continues=True),
        end,
    ]
    whole = list(watch.whole_lines(iter(items)))
    assert [item.get("line", item["type"]) for item in whole] == [
        "other",
        "ping",
        "abcdef",
        "ab",
        "(the rest cannot be read)",
        "last",
        "end",
    ]
    assert [item["line"] for item in watch.whole_lines(iter(items[-2:-1]))] == ["last"]


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(watch, "LONGEST_LINE", 4)
    items = [piece("w-0", "1", "abc", continues=True) for _ in range(4)]
    assert [item["line"] for item in watch.whole_lines(iter(items))] == ["abcabc", "abcabc"]


@pytest.mark.parametrize("follow", [False, True])
def test_the_log_of_a_job_and_of_an_endpoint_has_whole_lines(follow):
    class Pieces:
        def stream(self, _address):
            yield piece("w-0", "1", "ab", continues=True)
            yield piece("w-0", "1", "cd")

    assert [item["line"] for item in watch.log_lines(Pieces(), "logs", {}, follow)] == ["abcd"]


LINES = ["a", "a", "b", "a", "c"]
"""All of one time: nothing but the server's cursors tells them apart."""


class Server:
    """A job's stream that breaks off after `cut` log lines, once, and goes on after the cursor that it is sent."""

    def __init__(self, cut):
        self.cut = cut

    def stream(self, address):
        query = parse.parse_qs(parse.urlsplit(address).query)
        begin = int(query["after"][0].rpartition("-")[2]) if "after" in query else 0
        yield {"type": "event", "object": "Pod/a", "reason": "Started", "message": "", "count": 1}
        for number in range(begin, len(LINES)):
            if self.cut == number:
                self.cut = None
                raise connection.Unreachable("gone")
            yield line(number)
        yield {"type": "end", "state": "Succeeded"}


def line(number):
    cursor = f"worker-0-{number + 1}"
    return {"type": "log", "replica": "worker-0", "time": "t", "line": LINES[number], "cursor": cursor}


@pytest.mark.parametrize("cut", range(len(LINES)))
def test_a_watch_over_a_connection_that_breaks_off_has_each_line_and_event_once(cut, monkeypatch):
    monkeypatch.setattr(watch, "RETRY", 0.01)
    items = []
    with watch.JobWatch(Server(cut), "job") as job_watch:
        while not items or items[-1]["type"] != "end":
            items += job_watch.take()
    assert [item["line"] for item in items if item["type"] == "log"] == LINES
    assert len([item for item in items if item["type"] == "event"]) == 1


@pytest.mark.parametrize("cut", range(len(LINES)))
def test_a_followed_log_has_each_line_once_too(cut, monkeypatch):
    monkeypatch.setattr(watch, "RETRY", 0.01)
    server = Server(cut)
    assert [item["line"] for item in watch.log_lines(server, "tfjobs/job/logs", {}, follow=True)] == LINES


def test_a_log_as_it_is_now_is_not_waited_for():
    with pytest.raises(connection.Unreachable):
        list(watch.log_lines(Server(2), "tfjobs/job/logs", {}, follow=False))
