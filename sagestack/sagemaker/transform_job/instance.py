"""TransformInstance: one model server of a transform job, its logs, and its share of the
objects.

Its streams are `<job>/<instance-id>-<epoch>` for the server's lines and `…/data-log` for
what happened to the objects.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagestack.engine.executor import Control
from sagestack.engine.host import AwsSession
from sagestack.engine.logs import LogWriter
from sagestack.sagemaker.transform_job.objects import InputObject, Transformation
from sagestack.sagemaker.transform_job.requests import Failure, Requests, Stopped
from sagestack.sagemaker.transform_job.splitting import Batching
from sagestack.serving.server import ModelServer, ServerPlan
from sagestack.serving.transport import Dropped, NotReached, Reply, TimedOut

LOG_GROUP = "/aws/sagemaker/TransformJobs"
TIMEOUT_SECONDS = 600
RETRIES = 3
"""Source: ModelClientConfig."""
STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


class TransformInstance:
    def __init__(
        self, plan: ServerPlan, parent: Path, aws: AwsSession, document: Mapping[str, Any]
    ) -> None:
        self._aws, self._document = aws, document
        self._job: str = document["TransformJobName"]
        self._data_log: LogWriter | None = None
        self._server = ModelServer(plan, parent, self._open_logs, f"{self._job}/transform")

    def start(self) -> None:
        """Return once the server answers pings. Raises ServerFailed, ServerStopped, and what
        laying out a server raises."""
        self._server.start()

    def transform(
        self, objects: Sequence[InputObject], transformation: Transformation, control: Control
    ) -> dict[InputObject, Failure]:
        """The objects that failed, and why. When the job is stopped it returns soon."""
        batching = batching_of(self._document, self._execution_parameters())
        self._say(str(batching))
        client = self._document.get("ModelClientConfig", {})
        requests = Requests(
            self._server,
            control,
            most=batching.most_concurrent,
            headers=headers_of(self._document),
            seconds=client.get("InvocationsTimeoutInSeconds", TIMEOUT_SECONDS),
            retries=client.get("InvocationsMaxRetries", RETRIES),
        )
        failures: dict[InputObject, Failure] = {}

        def carry_out(obj: InputObject) -> None:
            if control.stop_requested:
                return
            try:
                transformation.carry_out(obj, batching, requests)
            except Stopped:
                return
            except Failure as failure:
                failures[obj] = failure
                for line in failure.text.split("\n"):
                    self._say(f"{obj.name}: {line}")

        try:
            most = max(1, min(batching.most_concurrent, len(objects)))
            with ThreadPoolExecutor(most, thread_name_prefix="objects") as pool:
                list(pool.map(carry_out, objects))
        finally:
            requests.close()
        return failures

    def stop(self, grace: float) -> None:
        """Nothing waits for its answers any more."""
        self._server.stop(grace, drain=False)

    def close(self) -> None:
        """Send what is left of the log."""
        if self._data_log is not None:
            self._data_log.close()

    def _open_logs(self, instance_id: str) -> LogWriter:
        stream = f"{self._job}/{instance_id}-{int(time.time() * 1000)}"
        self._data_log = LogWriter(self._aws, LOG_GROUP, f"{stream}/data-log")
        return LogWriter(self._aws, LOG_GROUP, stream)

    def _execution_parameters(self) -> Mapping[str, Any]:
        """What the container asks for; nothing where it does not know the question."""
        try:
            reply = self._server.execution_parameters()
        except (NotReached, TimedOut, Dropped):
            return {}
        return execution_parameters(reply)

    def _say(self, text: str) -> None:
        assert self._data_log is not None
        now = datetime.now(UTC).replace(tzinfo=None)
        self._data_log.write(f"{now.isoformat(timespec='milliseconds')}:[sagemaker logs]: {text}")


def headers_of(document: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "Content-Type": document["TransformInput"].get("ContentType"),
        "Accept": document["TransformOutput"].get("Accept"),
    }
    return {name: value for name, value in headers.items() if value}


def execution_parameters(reply: Reply) -> Mapping[str, Any]:
    """Those of the answer that can be understood."""
    if reply.status != 200:
        return {}
    try:
        content = json.loads(reply.body)
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    numbers = {
        name: int(content[name])
        for name in ("MaxConcurrentTransforms", "MaxPayloadInMB")
        if str(content.get(name)).isdecimal()
    }
    strategy = content.get("BatchStrategy")
    return numbers | ({"BatchStrategy": strategy} if strategy in STRATEGIES.values() else {})


def batching_of(document: Mapping[str, Any], asked: Mapping[str, Any]) -> Batching:
    """The request's wish, else the container's, else the default. 0 is no wish for
    MaxConcurrentTransforms."""
    default = Batching()
    strategy = STRATEGIES.get(document.get("BatchStrategy", ""))
    payload = document.get("MaxPayloadInMB", asked.get("MaxPayloadInMB", default.payload_mb))
    return Batching(
        most_concurrent=document.get("MaxConcurrentTransforms")
        or asked.get("MaxConcurrentTransforms")
        or default.most_concurrent,
        payload_mb=payload,
        strategy=strategy or asked.get("BatchStrategy", default.strategy),
    )


def batch_variables(document: Mapping[str, Any]) -> dict[str, str]:
    """What the container is told of the request. Source: developer guide,
    your-algorithms-batch-code."""
    told = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": document.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": STRATEGIES.get(document.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": document.get("MaxConcurrentTransforms") or None,
    }
    set_ = {name: str(value) for name, value in told.items() if value is not None}
    return {"SAGEMAKER_BATCH": "true", **set_}
