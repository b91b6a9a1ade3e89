"""The SageMaker SDK v3, unmodified, in a shell that `sagestack env` has set up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.e2e.live import Live
from tests.emulator.jobs import unpacked

PROGRAM = Path(__file__).with_name("sdk_v3.py")
TRAIN = """
    import argparse, json, os

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--words", type=json.loads, default=[])
    parser.add_argument("--fail", default="")
    arguments = parser.parse_args()
    if arguments.fail:
        raise ValueError("asked to fail")
    rows = open(os.environ["SM_CHANNEL_TRAIN"] + "/rows.csv").read()
    with open(os.environ["SM_MODEL_DIR"] + "/model.json", "w") as file:
        json.dump([arguments.epochs, arguments.words, rows], file)
    print("trained for the SDK")
"""
PROCESS = """
    import argparse, pathlib

    parser = argparse.ArgumentParser()
    parser.add_argument("--word")
    pathlib.Path("/opt/ml/processing/out/word").write_text(parser.parse_args().word)
"""


@pytest.fixture(scope="module")
def program(live: Live, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the program answered, and all it printed."""
    here = tmp_path_factory.mktemp("sdk")
    for name, text in (
        ("source/train.py", TRAIN),
        ("data/rows.csv", "    1,2\n"),
        ("process.py", PROCESS),
    ):
        path = here / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
    shell = here / "env.sh"
    assert live.sagestack("env", "--shell", str(shell)).returncode == 0
    done = subprocess.run(
        ["/bin/sh", "-c", f'. {shell}; exec "$0" "$@"', sys.executable, str(PROGRAM), str(here)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(here)},
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer, done.stdout + done.stderr


def test_model_trainer_trains(program: tuple[dict[str, Any], str], live: Live) -> None:
    answer, printed = program
    assert answer["good"]["status"] == "Completed", answer
    bucket, key = answer["good"]["model"].removeprefix("s3://").split("/", 1)
    body = live.context().client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(unpacked(body)["model.json"]) == [3, ["a", "b"], "1,2\n"]
    assert "trained for the SDK" in printed, "the SDK shows the job's log"


def test_model_trainer_raises_the_reason_of_a_failed_job(
    program: tuple[dict[str, Any], str],
) -> None:
    bad = program[0]["bad"]
    assert bad["error"] == "FailedStatusError"
    assert "AlgorithmError: " in bad["text"]
    assert "exit code: 1" in bad["text"]


def test_script_processor_processes(program: tuple[dict[str, Any], str]) -> None:
    assert program[0]["processed"] == {"word": "hello"}
