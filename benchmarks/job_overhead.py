"""What a training job costs beside running its script by hand.

    python benchmarks/job_overhead.py [SECTION…] [--rounds N]

Sections: overhead, parallel, queue, inputs, fast-file; all when none is named. One fresh
LocalStack on a free port. What is compared is run in turns, so that a busy machine slows
both; read the ratios. A job is timed by a client: from CreateTrainingJob to the first
DescribeTrainingJob, one every 50 ms, that says it has ended. The script is run by the
image's own interpreter, on the same data.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from sagestack.engine.images import BUILT_IN, Images
from sagestack.paths import environments_directory
from sagestack.server import Server, localstack_environment

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/sagemaker"
BUCKET = "benchmark"
POLL = 0.05
COLD = {"PYTHONHASHSEED": "0"}
"""A variable that a fork of a warm worker could not follow: the job is started anew."""
TRAIN = """
import os, sys
import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression

train, model = os.environ["SM_CHANNEL_TRAIN"], os.environ["SM_MODEL_DIR"]
data = pd.read_csv(f"{train}/train.csv")
fitted = LogisticRegression(max_iter=500).fit(data.drop(columns="y"), data["y"])
joblib.dump(fitted, f"{model}/model.joblib")
print("accuracy", fitted.score(data.drop(columns="y"), data["y"]))
"""
NOTHING = "print('nothing to do')"


class Jobs:
    """Training jobs of one LocalStack, in script mode, as the SDK v2 sends them."""

    def __init__(self, server: Server) -> None:
        session = boto3.session.Session("test", "test", region_name="us-east-1")
        self.s3: Any = session.client("s3", endpoint_url=server.endpoint_url)
        self.sagemaker: Any = session.client("sagemaker", endpoint_url=server.endpoint_url)
        self.s3.create_bucket(Bucket=BUCKET)
        self._numbers = itertools.count(1)
        for name, script in (("train", TRAIN), ("nothing", NOTHING)):
            self.s3.put_object(Bucket=BUCKET, Key=f"code/{name}.tar.gz", Body=packed(script))

    def create(self, code: str = "train", mode: str = "File", **request: Any) -> str:
        name = f"job-{next(self._numbers)}"
        channel = request.pop("channel", "data/")
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{channel}"}
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": mode},
            HyperParameters={
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": f'"s3://{BUCKET}/code/{code}.tar.gz"',
            },
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            ResourceConfig={
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
            **request,
        )
        return name

    def end(self, name: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] != "InProgress":
                break
            time.sleep(POLL)
        if job["TrainingJobStatus"] != "Completed":
            raise SystemExit(f"{name}: {job['TrainingJobStatus']}: {job.get('FailureReason')}")
        return job

    def run(self, **request: Any) -> dict[str, Any]:
        return self.end(self.create(**request))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    with server() as running, tempfile.TemporaryDirectory() as directory:
        jobs, local = Jobs(running), Local(Path(directory))
        jobs.s3.upload_file(str(local.data / "train.csv"), BUCKET, "data/train.csv")
        warm_up(jobs)
        for name in options.sections or SECTIONS:
            print(f"\n{name}", flush=True)
            SECTIONS[name](jobs, local, running, options.rounds)


class Local:
    """The same script, run by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        self.data.mkdir()
        write_sample(self.data / "train.csv")
        (directory / "train.py").write_text(TRAIN)
        sklearn = next(image for image in BUILT_IN if image.name == "sklearn")
        self._python = str(Images(environments_directory()).environment(sklearn).python)

    def run(self) -> None:
        with tempfile.TemporaryDirectory() as model:
            subprocess.run(
                [self._python, str(self.directory / "train.py")],
                env={"PATH": os.environ["PATH"], "SM_CHANNEL_TRAIN": str(self.data)}
                | {"SM_MODEL_DIR": model},
                stdout=subprocess.DEVNULL,
                check=True,
            )


def overhead(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """One job alone, warm and cold."""
    ways: dict[str, Callable[[], Any]] = {
        "python train.py": local.run,
        "warm job": jobs.run,
        "cold job": lambda: jobs.run(Environment=COLD),
    }
    medians = in_turns(ways, rounds)
    by_hand = medians["python train.py"]
    report("warm job / python train.py", medians["warm job"] / by_hand, 0.15)
    report("cold job / python train.py", medians["cold job"] / by_hand, 1.15)


def parallel(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """Twenty jobs at once, beside the script run two by two."""
    count = 20

    def by_hand() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: local.run(), range(count)))

    def as_jobs() -> None:
        for name in [jobs.create() for _ in range(count)]:
            jobs.end(name)

    medians = in_turns({"two by two": by_hand, "jobs": as_jobs}, min(rounds, 2))
    report(f"{count} jobs at once / two by two", medians["jobs"] / medians["two by two"], 0.2)


def queue(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """A thousand short jobs: none is lost, and memory stays flat."""
    count = 1_000
    memory = [resident(server)]
    begun = time.perf_counter()
    names = [jobs.create("nothing") for _ in range(count)]
    for number, name in enumerate(names, 1):
        jobs.end(name)
        if number % (count // 4) == 0:
            memory.append(resident(server))
    seconds = time.perf_counter() - begun
    print(f"  {count} of {count} completed, {seconds / count * 1000:.0f} ms each")
    print(f"  server's memory, MB: {', '.join(f'{size:.0f}' for size in memory)}")
    report("memory after the last quarter / before it", memory[-1] / memory[-2], 1.05)


def inputs(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """What it takes to bring input, beside a local copy."""
    for name, count, size in (("1,000 files of 2 KB", 1000, 2048), ("1 GB", 4, 256 * 1024**2)):
        prefix, source = f"inputs-{count}/", local.directory / f"inputs-{count}"
        source.mkdir()
        for number in range(count):
            (source / f"{number:04}").write_bytes(os.urandom(size))
            jobs.s3.upload_file(str(source / f"{number:04}"), BUCKET, f"{prefix}{number:04}")
        copies, downloads = [], []
        for _ in range(min(rounds, 3)):
            copies.append(seconds_of(lambda source=source: copy(source, local.directory / "copy")))
            downloads.append(downloading(jobs.run(code="nothing", channel=prefix)))
        best = min(copies)
        print(f"  {name}: copy {best:.2f} s, channel {min(downloads):.2f} s")
        report(f"{name}: channel / copy", min(downloads) / best, 1.5)


def fast_file(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """FastFile: a large prefix costs nothing until it is read."""
    size = 1024**3
    sparse = local.directory / "sparse"
    with sparse.open("wb") as file:
        file.truncate(size)
    seconds = {}
    for count in (1, 10):
        for number in range(count):
            jobs.s3.upload_file(str(sparse), BUCKET, f"large-{count}/{number}")
        channel = f"large-{count}/"
        run = lambda channel=channel: jobs.run(code="nothing", channel=channel, mode="FastFile")  # noqa: E731
        seconds[count] = min(seconds_of(run) for _ in range(min(rounds, 3)))
        print(f"  {count} GB, nothing read: {seconds[count] * 1000:.0f} ms")
    report("10 GB / 1 GB", seconds[10] / seconds[1], 1.2)


SECTIONS: dict[str, Callable[[Jobs, Local, Server, int], None]] = {
    "overhead": overhead,
    "parallel": parallel,
    "queue": queue,
    "inputs": inputs,
    "fast-file": fast_file,
}


def report(what: str, ratio: float, goal: float) -> None:
    print(f"  {what}: {ratio:.3f} (goal {goal}){'' if ratio <= goal else '  MISSED'}", flush=True)


def in_turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            seconds[name].append(seconds_of(ways[name]))
    for name, values in seconds.items():
        print(f"  {name}: {', '.join(f'{value * 1000:.0f}' for value in values)} ms")
    return {name: statistics.median(values) for name, values in seconds.items()}


def seconds_of(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def downloading(job: dict[str, Any]) -> float:
    """Seconds of the status Downloading."""
    begun: dict[str, Any] = {
        transition["Status"]: transition["StartTime"]
        for transition in job["SecondaryStatusTransitions"][::-1]
    }
    seconds: float = (begun["Training"] - begun["Downloading"]).total_seconds()
    return seconds


def copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def resident(server: Server) -> float:
    """The server's own memory in MB, its workers left out."""
    process = server.process()
    assert process is not None
    return float(process.memory_info().rss) / 1e6


def warm_up(jobs: Jobs) -> None:
    """Until the image's warm worker has forked a job: a cold one takes over a second."""
    while seconds_of(lambda: jobs.run(code="nothing")) > 1:
        pass


def packed(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(script.encode())
        tar.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


def write_sample(path: Path) -> None:
    """10,000 rows of ten features and a label."""
    random = np.random.default_rng(0)
    features = random.normal(size=(10_000, 10))
    label = (features[:, :3].sum(axis=1) + random.normal(size=10_000) > 0).astype(int)
    header = ",".join([*(f"x{number}" for number in range(10)), "y"])
    rows = np.column_stack([features, label])
    np.savetxt(path, rows, "%.6g", delimiter=",", header=header, comments="")


@contextmanager
def server() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        running = Server(probe.getsockname()[1])
    process = running.start(localstack_environment(), {})
    try:
        running.wait_until_ready(process)
        yield running
    finally:
        running.stop()
        shutil.rmtree(running.directory)


if __name__ == "__main__":
    main()
