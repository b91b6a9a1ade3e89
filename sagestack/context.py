"""Context: what an operation works with, for one caller.

`Instance` is one running emulator. Operations get a `Context`: the caller, and the parts
of the instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.registry import Request, Response, dispatch
from sagestack.aws.store import Store
from sagestack.engine.container import GRACE_SECONDS
from sagestack.engine.event_queue import EventQueue
from sagestack.engine.executor import Executor
from sagestack.engine.host import AwsSession, Host
from sagestack.engine.images import Images
from sagestack.engine.metrics import MetricFeed
from sagestack.serving.servers import Servers

MOST_COORDINATORS = 100
"""Tuning jobs that run at once. Source: developer guide, automatic-model-tuning-limits."""


@dataclass(frozen=True)
class Instance:
    """The parts of one running emulator."""

    directory: Path
    """Where the store, the jobs' directories and the models being served lie."""
    store: Store
    host: Host
    images: Images
    executor: Executor
    servers: Servers = field(default_factory=Servers)
    coordinators: Executor = field(default_factory=lambda: Executor(MOST_COORDINATORS))
    """Work that waits for jobs of the executor's, and so must not hold a slot they need."""
    metric_feed: MetricFeed = field(default_factory=MetricFeed)
    events: EventQueue = field(default_factory=EventQueue)
    stop_seconds: float = GRACE_SECONDS
    """Between SIGTERM and SIGKILL of a job that is stopped."""

    def context(self, account: str, region: str) -> Context:
        return Context(Caller(account, region), self)


@dataclass(frozen=True)
class Context:
    caller: Caller
    instance: Instance

    @property
    def store(self) -> Store:
        return self.instance.store

    @property
    def aws(self) -> AwsSession:
        """S3, logs, metrics and events as this caller sees them."""
        return self.instance.host.session(self.caller.account, self.caller.region)

    def call(self, service: str, operation: str, request: dict[str, Any]) -> Response:
        """Call a public operation of any service, as the same caller. Raises AwsError."""
        return dispatch(service, operation, Request(request), self)
