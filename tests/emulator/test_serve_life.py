"""The model server's life: where the code comes from, what it does while it is busy, how it
ends."""

from __future__ import annotations

import hashlib
import http.server
import signal
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulator.model_server import CONSTANT, Running, failing, serving, write_code
from tests.waiting import wait_until

BLOCKING = """
import os, pathlib

def model_fn(model_dir):
    return pathlib.Path(model_dir).parent

def transform_fn(base, body, content_type, accept):
    (base / "begun").touch()
    while not (base / "go-on").exists():
        os.sched_yield()
    return "done"
"""


def sourcedir(directory: Path, script: str = CONSTANT) -> Path:
    """An archive like the one the v2 SDK uploads."""
    (directory / "source").mkdir()
    (directory / "source" / "predictor.py").write_text(script)
    archive = directory / "sourcedir.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "source" / "predictor.py", arcname="predictor.py")
    return archive


def wheel(directory: Path, name: str, version: str, code: str) -> Path:
    """A package, made by hand: building one would need the network."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
        archive.writestr(f"{info}/RECORD", record)
    return path


@contextmanager
def s3(objects: dict[str, bytes]) -> Iterator[str]:
    """As much of S3 as a download takes; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = objects.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("ETag", f'"{hashlib.md5(body or b"").hexdigest()}"')
            self.end_headers()
            if self.command == "GET" and body:
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_code_from_an_archive_the_platform_brought(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    variables = {
        "SAGEMAKER_PROGRAM": "predictor.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "s3://anywhere/sourcedir.tar.gz",
        "MODEL_SERVER_SUBMIT_ARCHIVE": str(sourcedir(tmp_path)),
    }
    with serving(tmp_path, **variables) as server:
        assert server.answer([0]) == [42]


def test_code_from_s3(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    archive = sourcedir(tmp_path).read_bytes()
    with s3({"/lake/job/sourcedir.tar.gz": archive}) as url:
        variables = {
            "SAGEMAKER_PROGRAM": "predictor.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "s3://lake/job/sourcedir.tar.gz",
            "SAGEMAKER_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        (tmp_path / "sourcedir.tar.gz").unlink()
        with serving(tmp_path, **variables) as server:
            assert server.answer([0]) == [42]


def test_code_in_a_named_directory(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "inference.py").write_text(CONSTANT)
    with serving(tmp_path, SAGEMAKER_SUBMIT_DIRECTORY=str(tmp_path / "elsewhere")) as server:
        assert server.answer([0]) == [42]


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    write_code(tmp_path, CONSTANT)
    with serving(tmp_path, SAGEMAKER_PROGRAM="", SAGEMAKER_SUBMIT_DIRECTORY="") as server:
        assert server.answer([0]) == [42]


def test_requirements_are_installed_for_this_server_alone(tmp_path: Path) -> None:
    packages = wheel(tmp_path / "wheels", "sagestack_answer", "1.0", "ANSWER = 'installed'\n")
    code = write_code(
        tmp_path,
        """
        import numpy, sagestack_answer
        def model_fn(model_dir): return sagestack_answer.ANSWER
        def transform_fn(model, body, content_type, accept): return model
        """,
    )
    requirements = f"--no-index\n--find-links {packages.parent}\nsagestack_answer\nnumpy\n"
    (code / "requirements.txt").write_text(requirements)
    with serving(tmp_path) as server:
        assert server.invoke("").data == b"installed"
        assert "Successfully installed sagestack_answer" in server.log
    assert list((tmp_path / "packages").rglob("sagestack_answer.py"))


def test_requirements_that_are_not_to_be_had_end_the_server_with_pips_words(
    tmp_path: Path,
) -> None:
    code = write_code(tmp_path, CONSTANT)
    (code / "requirements.txt").write_text("--no-index\nno-such-package-anywhere\n")
    log = failing(tmp_path).log
    assert "No matching distribution found for no-such-package-anywhere" in log
    assert "failed to install required packages" in log


def test_ping_answers_while_a_handler_works(tmp_path: Path) -> None:
    write_code(tmp_path, BLOCKING)
    with serving(tmp_path) as server, ThreadPoolExecutor() as pool:
        call = pool.submit(server.invoke, "")
        wait_until((tmp_path / "begun").exists)
        assert server.get("/ping").status == 200
        assert not call.done()
        (tmp_path / "go-on").touch()
        assert call.result(10).data == b"done"


def test_a_call_in_flight_is_answered_after_sigterm(tmp_path: Path) -> None:
    write_code(tmp_path, BLOCKING)
    with serving(tmp_path) as server, ThreadPoolExecutor() as pool:
        call = pool.submit(server.invoke, "")
        wait_until((tmp_path / "begun").exists)
        server.process.send_signal(signal.SIGTERM)
        (tmp_path / "go-on").touch()
        assert call.result(10).data == b"done"
        assert server.end() in (0, -signal.SIGTERM)


def test_a_handler_that_exceeds_its_time_ends_the_server(tmp_path: Path) -> None:
    write_code(tmp_path, BLOCKING)
    with serving(tmp_path, SAGEMAKER_MODEL_SERVER_TIMEOUT="0.5") as server:
        with ThreadPoolExecutor() as pool:
            call = pool.submit(server.invoke, "")
            assert server.end() == 1
            assert call.exception(10) is not None
        assert "SAGEMAKER_MODEL_SERVER_TIMEOUT" in server.log


def worker(server: Running) -> bytes:
    return server.invoke("").data


def test_several_workers_share_the_port_and_end_together(tmp_path: Path) -> None:
    write_code(
        tmp_path,
        """
        import os
        def model_fn(model_dir): return os.getpid()
        def transform_fn(model, body, content_type, accept): return str(os.getpid())
        """,
    )
    with serving(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        seen: set[bytes] = set()

        def both_answered() -> bool:
            server.http.clear()  # a new connection goes to any of them
            seen.add(worker(server))
            return len(seen) == 2

        wait_until(both_answered)
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_has_an_exit_code_of_its_own(tmp_path: Path, workers: str) -> None:
    write_code(tmp_path, CONSTANT)
    with serving(tmp_path) as server:
        other = Running(
            tmp_path,
            {
                "SAGEMAKER_BIND_TO_PORT": str(server.port),
                "SAGEMAKER_MODEL_SERVER_WORKERS": workers,
            },
        )
        assert other.end() == 98
