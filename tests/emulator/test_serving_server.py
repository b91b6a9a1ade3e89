"""A model server that does nothing about SIGTERM but end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sagestack.engine.images import Environment
from sagestack.serving.server import ModelServer, ServerPlan
from sagestack.serving.transport import Dropped, NotReached
from tests.emulator.programs import HERE
from tests.waiting import wait_until

SERVE = """
import http.server, os, pathlib, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while not pathlib.Path("/opt/ml/go-on").exists():
            time.sleep(0.01)
        time.sleep(0.5)  # longer than a signal takes
        self.answer(body)
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line)

    def close(self) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    def lay_out(directory: Path) -> None:
        (directory / "model").mkdir(parents=True)
        (directory / "serve.py").write_text(SERVE)

    plan = ServerPlan(
        Environment(HERE, Path(sys.executable)), (sys.executable, "/opt/ml/serve.py"), {}, lay_out
    )
    server = ModelServer(plan, tmp_path, lambda _: Lines(), "crude")
    server.start()
    yield server
    server.stop(0)


def test_call_in_flight_is_answered_before_the_server_is_told_to_end(server: ModelServer) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(server.invoke, b"body", {}, 30)
        wait_until(lambda: server.outstanding == 1)
        stop = pool.submit(server.stop, 20)
        wait_until(lambda: not server.ready)
        with pytest.raises(NotReached):
            server.invoke(b"late", {}, 30)
        (server.directory / "go-on").touch()
        assert call.result().body == b"body"
        stop.result()


def test_call_that_is_not_answered_in_time_ends_with_the_server(server: ModelServer) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(server.invoke, b"body", {}, 30)
        wait_until(lambda: server.outstanding == 1)
        server.stop(0.2)
        with pytest.raises(Dropped):
            call.result()
