"""How long the platform's stacks take to deploy, beside `cdk deploy` as it is.

    make bench            or   python benchmarks/deploy.py [--rounds N]

Each round starts a fresh LocalStack for each way, on a free port, and ends it. Two ways:

- plain   `cdk deploy --all`: synthesis with the CDK's template validation, change sets
- ours    what `python -m mlops.level0` does: one synthesis without that validation, one
          assembly, direct deployment, and `sagestack up --hold-stacks`

Both deploy all four stacks, the endpoint included, and then once more without a change.
`cdk bootstrap`, once per account and region, is not counted. Medians; ratios from one run.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import joblib
from sklearn.dummy import DummyClassifier

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
CDK = [str(BIN / "node"), str(ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk")]
MODEL = "s3://benchmark-models/model.tar.gz"
PARAMETER = f"sagestack-local-serving:ModelDataUrl={MODEL}"
INFERENCE = """
import joblib

def model_fn(model_dir):
    return joblib.load(f"{model_dir}/model.joblib")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        for way in (plain, ours) if number % 2 else (ours, plain):
            for step, spent in way():
                seconds.setdefault(f"{way.__name__} {step}", []).append(spent)
                print(f"round {number + 1}: {way.__name__} {step}: {spent:.1f} s", flush=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\nmedians of {rounds} rounds, seconds")
    for step in ("first", "without a change"):
        mine, theirs = median[f"ours {step}"], median[f"plain {step}"]
        print(f"{step:18} ours {mine:5.1f}   plain {theirs:5.1f}   ratio {mine / theirs:.2f}")


def plain() -> Iterator[tuple[str, float]]:
    with localstack() as environment, tempfile.TemporaryDirectory() as folder:
        deploy = [*CDK, "deploy", "--all", "--require-approval", "never", "--output", folder]
        for step in ("first", "without a change"):
            yield step, timed([*deploy, "--parameters", PARAMETER], environment)


def ours() -> Iterator[tuple[str, float]]:
    with localstack("--hold-stacks", "60") as environment, tempfile.TemporaryDirectory() as folder:
        synth = [str(BIN / "python"), "app.py"]
        fast = environment | {"CDK_VALIDATION": "false", "CDK_OUTDIR": folder}
        deploy = [*CDK, "deploy", "--all", "--require-approval", "never", "--app", folder]
        deploy += ["--method", "direct", "--concurrency", "4", "--parameters", PARAMETER]
        for step in ("first", "without a change"):
            yield step, timed(synth, fast) + timed(deploy, fast)


@contextmanager
def localstack(*options: str) -> Iterator[dict[str, str]]:
    """A fresh LocalStack, bootstrapped, with a model to serve; the variables to reach it."""
    port = str(free_port())
    environment = os.environ | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    run([str(BIN / "sagestack"), "up", "--port", port, *options], environment)
    try:
        run([*CDK, "bootstrap", "aws://000000000000/us-east-1"], environment)
        upload_model(environment["AWS_ENDPOINT_URL"])
        yield environment
    finally:
        run([str(BIN / "sagestack"), "down", "--port", port], environment)


def upload_model(endpoint_url: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar, tempfile.TemporaryDirectory() as folder:
        joblib.dump(DummyClassifier().fit([[0]], [0]), f"{folder}/model.joblib")
        tar.add(f"{folder}/model.joblib", "model.joblib")
        code = tarfile.TarInfo("code/inference.py")
        code.size = len(INFERENCE)
        tar.addfile(code, io.BytesIO(INFERENCE.encode()))
    session = boto3.session.Session("test", "test", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=endpoint_url)
    bucket, key = MODEL.removeprefix("s3://").split("/")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=archive.getvalue())


def timed(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    run(command, environment)
    return time.perf_counter() - begun


def run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
