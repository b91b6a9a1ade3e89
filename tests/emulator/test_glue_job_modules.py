"""The files and modules that a job run brings, and the idle process it may be forked from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.glue_client import World, job_world


@pytest.fixture
def glue(tmp_path: Path, aws: None) -> Iterator[World]:
    with job_world(tmp_path) as world:
        yield world


@pytest.fixture
def warm_glue(tmp_path: Path, aws: None) -> Iterator[World]:
    """A world whose image has an idle process that has imported boto3."""
    with job_world(tmp_path, preload=("boto3",)) as world:
        yield world


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".py", text)
    return buffer.getvalue()


def wheel(name: str, code: str) -> bytes:
    buffer, info = io.BytesIO(), f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


def test_extra_files_and_python_files_are_there(glue):
    python_files = [
        glue.put("lib/one.py", "ONE = 1"),
        glue.put("lib/more.zip", zipped(two="TWO = 2", package____init="", package__three="T = 3")),
        glue.put("lib/four-1.0-py3-none-any.whl", wheel("four", "FOUR = 4")),
    ]
    run = glue.run(
        """
        import one, two, four
        import importlib.metadata
        print(one.ONE, two.TWO, four.FOUR, importlib.metadata.version("four"))
        print(open("config.json").read())
        """,
        {
            "--extra-py-files": ", ".join(python_files),
            "--extra-files": glue.put("conf/config.json", "{}"),
        },
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    assert glue.log(run["Id"], "output")[-2:] == ["1 2 4 1.0", "{}"]


def test_additional_modules_are_installed_for_the_run_alone(glue):
    location = glue.put("wheels/five-1.0-py3-none-any.whl", wheel("five", "FIVE = 5"))
    run = glue.run(
        "import five; print(five.FIVE, five.__file__)",
        {
            "--additional-python-modules": location,
            "--python-modules-installer-option": "--offline",
        },
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    assert glue.log(run["Id"], "output")[-1] == "5 /opt/ml/modules/five.py"
    assert glue.wait(glue.start())["ErrorMessage"].startswith("ModuleNotFoundError")


def test_modules_that_can_not_be_installed_fail_the_run_in_the_installers_words(glue):
    run = glue.run(
        "print('never')",
        {
            "--additional-python-modules": "no-such-module==1.0",
            "--python-modules-installer-option": "--offline --no-index",
        },
    )
    assert run["JobRunState"] == "FAILED"
    assert "no-such-module" in run["ErrorMessage"]
    assert "never" not in glue.log(run["Id"], "output")


def test_an_extra_file_of_another_kind_is_refused(glue):
    run = glue.run("print('hi')", {"--extra-py-files": glue.put("lib/x.txt", "")})
    assert "is not a .py, .zip, .egg or .whl file" in run["ErrorMessage"]


def test_a_run_is_forked_from_the_images_idle_process(warm_glue):
    run = warm_glue.run(
        """
        import sys
        from awsglue.utils import getResolvedOptions
        import own
        name = getResolvedOptions(sys.argv, ["JOB_NAME"])["JOB_NAME"]
        print("boto3" in sys.modules, own.ONE, name)
        raise ValueError("boom")
        """,
        {"--extra-py-files": warm_glue.put("own.py", "ONE = 1")},
    )
    assert warm_glue.log(run["Id"], "output") == ["True 1 etl"]
    assert run["ErrorMessage"] == "ValueError: boom"
    assert warm_glue.log(run["Id"], "error")[0] == "Traceback (most recent call last):"


@pytest.mark.parametrize("archive", [False, True])
def test_a_run_that_brings_a_module_of_the_images_gets_its_own(warm_glue, archive):
    if archive:
        files = warm_glue.put("own.zip", zipped(boto3="MINE = 1"))
    else:
        files = warm_glue.put("boto3.py", "MINE = 1")
    run = warm_glue.run("import boto3; print(boto3.MINE)", {"--extra-py-files": files})
    assert warm_glue.log(run["Id"], "output") == ["1"]
