"""What a training job costs beside running its script by hand.

    python benchmarks/job_overhead.py [SECTION…] [--rounds N]

Sections: overhead, parallel, queue, inputs, fast-file, test-process; all when none is named.
One fresh LocalStack on a free port. What is compared is run in turns, so that a busy machine
slows both; read the ratios. A job is timed by a client: from CreateTrainingJob to the first
DescribeTrainingJob, one every 50 ms, that says it has ended. The script is run by the image's
own interpreter, on the same data.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sample_jobs import BUCKET, Jobs, Local, server

from sagestack.server import Server
from sagestack.testing import mock_sagemaker

COLD = {"PYTHONHASHSEED": "0"}
"""A variable that a fork of a warm worker could not follow: the job is started anew."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    with server() as running, tempfile.TemporaryDirectory() as directory:
        jobs, local = Jobs(running.endpoint_url), Local(Path(directory))
        jobs.s3.upload_file(str(local.data / "train.csv"), BUCKET, "data/train.csv")
        warm_up(jobs)
        for name in options.sections or SECTIONS:
            print(f"\n{name}", flush=True)
            SECTIONS[name](jobs, local, running, options.rounds)


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
        for number in range(rounds):
            target = server.directory / f"copy-{number}"  # where jobs have theirs
            copies.append(seconds_of(partial(shutil.copytree, source, target)))
            shutil.rmtree(target)
            downloads.append(downloading(jobs.run(code="nothing", channel=prefix)))
        best = min(copies)
        print(f"  {name}: copy {best:.2f} s, channel {min(downloads):.2f} s")
        report(f"{name}: channel / copy", min(downloads) / best, 1.5)


def fast_file(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """FastFile: 10 GB cost nothing until they are read."""
    sparse = local.directory / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1024**3)
    for number in range(10):
        with sparse.open("rb") as file:
            jobs.s3.put_object(Bucket=BUCKET, Key=f"large/{number}", Body=file)
    ways: dict[str, Callable[[], Any]] = {
        "1 MB": lambda: jobs.run(code="first-byte", channel="data/", mode="FastFile"),
        "10 GB": lambda: jobs.run(code="first-byte", channel="large/", mode="FastFile"),
    }
    medians = in_turns(ways, rounds)
    report("10 GB / 1 MB, to the first byte", medians["10 GB"] / medians["1 MB"], 1.2)


def test_process(jobs: Jobs, local: Local, server: Server, rounds: int) -> None:
    """What a unit test does with sagestack.testing: train, and read the model back."""

    def unit_test() -> None:
        with mock_sagemaker():
            here = Jobs(None)
            here.s3.upload_file(str(local.data / "train.csv"), BUCKET, "data/train.csv")
            model = here.run()["ModelArtifacts"]["S3ModelArtifacts"]
            here.s3.get_object(Bucket=BUCKET, Key=model.split("/", 3)[3])["Body"].read()

    print(f"  first, cold: {seconds_of(unit_test) * 1000:.0f} ms")
    report("warm, seconds", in_turns({"warm": unit_test}, rounds)["warm"], 1.0)


SECTIONS: dict[str, Callable[[Jobs, Local, Server, int], None]] = {
    "overhead": overhead,
    "parallel": parallel,
    "queue": queue,
    "inputs": inputs,
    "fast-file": fast_file,
    "test-process": test_process,
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


def resident(server: Server) -> float:
    """The server's own memory in MB, its workers left out."""
    process = server.process()
    assert process is not None
    return float(process.memory_info().rss) / 1e6


def warm_up(jobs: Jobs) -> None:
    """Until the image's warm worker has forked a job: a cold one takes over a second."""
    while seconds_of(lambda: jobs.run(code="nothing")) > 1:
        pass


if __name__ == "__main__":
    main()
