"""Code as assets: the same bytes for the same sources, and each form runs."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import traceback
import types
from pathlib import Path
from typing import Any

import pytest

from infra.constructs import code


def test_archives_are_the_same_whatever_the_files_times_and_order() -> None:
    one = {"main.py": b"print(1)\n", "logic.py": b"x = 1\n"}
    two = dict(reversed(one.items()))
    assert code.tar_gz(one) == code.tar_gz(two)
    assert code.executable_zip(one) == code.executable_zip(two)
    assert code.digest_of(one) == code.digest_of(two)


def test_another_content_or_name_is_another_hash() -> None:
    digests = {
        code.digest_of(files)
        for files in ({"a.py": b"1"}, {"a.py": b"2"}, {"b.py": b"1"}, {"a.py": b"1", "b": b""})
    }
    assert len(digests) == 4


def test_nothing_of_this_machine_is_in_the_tar() -> None:
    packed = code.tar_gz(code.read_sources("training/delay_model", "inference/delay_model"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = archive.getmembers()
    assert {m.name for m in members} >= {"main.py", "logic.py", "delay_features.py", "inference.py"}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}


def test_the_executable_zip_runs_with_its_arguments(tmp_path: Path) -> None:
    files = {
        "main.py": b"import sys\nimport logic\n"
        b"if __name__ == '__main__':\n    print(logic.answer, *sys.argv[1:])\n",
        "logic.py": b"answer = 42\n",
    }
    program = tmp_path / "abc.zip"
    program.write_bytes(code.executable_zip(files))
    command = [sys.executable, str(program), "--months", "2013-01"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "42 --months 2013-01\n", done.stderr


@pytest.mark.parametrize("folder", ["processing/split", "processing/evaluate"])
def test_the_real_programs_start(folder: str, tmp_path: Path) -> None:
    program = tmp_path / "job.zip"
    program.write_bytes(code.executable_zip(code.read_sources(folder)))
    command = [sys.executable, str(program), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--base" in done.stdout


def test_the_glue_script_is_one_file_that_works_and_keeps_its_tracebacks() -> None:
    files = code.read_sources("processing/flights_etl")
    script = code.single_file(files["main.py"].decode(), files["logic.py"].decode())
    kept = sys.modules.pop("logic", None)
    try:
        module: Any = types.ModuleType("glue_script")
        exec(compile(script, "job.py", "exec"), module.__dict__)
        assert module.TABLES["flights"][1] == module.logic.FLIGHT_KEY
        with pytest.raises(TypeError) as caught:
            module.logic.parse_csv("a,b\n", 1)
        lines = "".join(traceback.format_exception(caught.value))
        assert 'File "logic.py"' in lines
        assert "missing = [column.name for column in columns" in lines
    finally:
        sys.modules.pop("logic", None)
        if kept is not None:
            sys.modules["logic"] = kept


def test_sources_that_cannot_be_one_file_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly once"):
        code.single_file("import logic as l\n", "x = 1\n")
    with pytest.raises(ValueError, match="backslash"):
        code.single_file("import logic\n", "x = '\\n'\n")


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logic\.py is in more than one of"):
        code.read_sources("processing/split", "processing/evaluate")


def test_an_empty_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="no Python files"):
        code.read_sources("docs")
