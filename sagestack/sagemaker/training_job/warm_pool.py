"""Warm pools: what a finished training job leaves to the next one like it.

With KeepAlivePeriodInSeconds the hosts of a job that has completed are kept for so long. What
is kept here is their persistent cache, /opt/ml/sagemaker/warmpoolcache; a start is as fast
without. A job takes a pool whose jobs had the same role, image, resources and network.
Source: developer guide, train-warm-pools.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.store import Key, Query, Record, RecordMissing
from sagestack.context import Context, Instance
from sagestack.engine.workspace import LeadsOut, left_at
from sagestack.sagemaker.job_record import TRAINING_JOB, JobRecord

KIND = "warm-pool"
CACHE = Path("sagemaker/warmpoolcache")
"""Below /opt/ml."""


def keep_alive(document: Document) -> int:
    """Seconds; 0 is no pool."""
    seconds: int = document["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0)
    return seconds


def take(job: JobRecord, directories: Sequence[Path]) -> None:
    """Bring the cache of a pool like the job to its hosts, where there is one."""
    document = job.read().document
    if not keep_alive(document):
        return
    context = job.context
    wanted = _signature(document)
    for pool in context.store.list(Query(KIND, context.caller)).records:
        # Two jobs can find a pool; one of them removes it.
        if pool.document["Signature"] == wanted and context.store.delete(pool.key):
            _move(_place(context, pool.key.name), directories)
            _tell_owner(
                pool, context, {"Status": "Reused", "ReusedByJob": document["TrainingJobName"]}
            )
            return


def leave(job: JobRecord, directories: Sequence[Path]) -> bool:
    """Keep the hosts' caches of a job about to complete: who sees it completed finds the pool.
    False where the job asked for none."""
    document = job.read().document
    seconds = keep_alive(document)
    if not seconds:
        return False
    place = _place(job.context, job.key.name)
    for directory in directories:
        with contextlib.suppress(LeadsOut):  # a program's link is not followed
            cache = left_at(directory, f"/opt/ml/{CACHE}")
            if cache.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                shutil.move(cache, place / directory.parent.name)
    now = datetime.now(UTC)
    pool = {
        "Signature": _signature(document),
        "Expires": now + timedelta(seconds=seconds),
    }
    job.context.store.create(Record(Key.of(job.context.caller, KIND, job.key.name), "", pool))
    _watch(job.key.name, job.context, seconds)
    return True


def settle(document: Document, left: bool) -> None:
    """Write into the document of a job that ends whether it has left a pool. Another job may
    have taken the pool by now, or its time may be over: that stays."""
    if document.get("WarmPoolStatus", {}).get("Status") == "InUse":
        _set_status(document, {"Status": "Available" if left else "Terminated"})


def extend(name: str, context: Context, seconds: int) -> bool:
    """Let a pool live for so many seconds from now; False where the job has none."""

    def move(pool: Document) -> None:
        pool["Expires"] = datetime.now(UTC) + timedelta(seconds=seconds)

    try:
        context.store.update(Key.of(context.caller, KIND, name), move)
    except RecordMissing:
        return False
    _watch(name, context, seconds)
    return True


def recover(instance: Instance) -> None:
    """Nothing is kept past the end of the server."""
    for pool in instance.store.every(KIND, ""):
        end(pool.key.name, instance.context(pool.key.account, pool.key.region))
    shutil.rmtree(instance.directory / "pools", ignore_errors=True)


def _watch(name: str, context: Context, seconds: float) -> None:
    timer = threading.Timer(max(0.0, seconds), _end_if_due, (name, context))
    timer.daemon = True
    timer.start()


def _end_if_due(name: str, context: Context) -> None:
    pool = context.store.get(Key.of(context.caller, KIND, name))
    if pool is not None and pool.document["Expires"] <= datetime.now(UTC):
        end(name, context)


def end(name: str, context: Context) -> None:
    """End the pool that the job of this name left, where there is one."""
    if pool := context.store.delete(Key.of(context.caller, KIND, name)):
        shutil.rmtree(_place(context, name), ignore_errors=True)
        _tell_owner(pool, context, {"Status": "Terminated"})


def _tell_owner(pool: Record, context: Context, status: dict[str, Any]) -> None:
    """Write what became of a pool into the record of the job that left it."""
    owner = context.store.get(Key.of(context.caller, TRAINING_JOB.kind, pool.key.name))
    if owner is None:
        return
    spent = int((datetime.now(UTC) - pool.created).total_seconds())
    status = status | {"ResourceRetainedBillableTimeInSeconds": spent}
    job = JobRecord.of(TRAINING_JOB, owner, context)
    job.change(lambda document: _set_status(document, status))


def _set_status(document: Document, status: dict[str, Any]) -> None:
    document["WarmPoolStatus"] = status


def _move(place: Path, directories: Sequence[Path]) -> None:
    for directory in directories:
        kept = place / directory.parent.name
        if kept.is_dir():
            (directory / CACHE).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept, directory / CACHE)
    shutil.rmtree(place, ignore_errors=True)


def _place(context: Context, name: str) -> Path:
    caller = context.caller
    return context.instance.directory / "pools" / caller.account / caller.region / name


def _signature(document: Document) -> str:
    """What two jobs must have in common to share a pool."""
    resources = dict(document["ResourceConfig"])
    resources.pop("KeepAlivePeriodInSeconds", None)
    return json.dumps(
        [
            document["RoleArn"],
            document["AlgorithmSpecification"].get("TrainingImage"),
            resources,
            document.get("VpcConfig"),
            document["EnableNetworkIsolation"],
            document["EnableInterContainerTrafficEncryption"],
        ],
        sort_keys=True,
    )
