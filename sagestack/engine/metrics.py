"""Metrics found in a program's output by the regexes of MetricDefinitions."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import regex

from sagestack.engine.host import AwsSession

LOG = logging.getLogger(__name__)
BATCH = 500
"""Values in one PutMetricData call; its limit is 1,000."""


MATCH_SECONDS = 1.0
"""What one line may take: a regex can need longer than the job for a line it does not match."""


class BadMetric(Exception):
    """A regex that gives no value. The text says why."""


@dataclass(frozen=True)
class MetricDefinition:
    name: str
    regex: regex.Pattern[str]
    """Its first group is the value."""

    @classmethod
    def of(cls, name: str, pattern: str) -> MetricDefinition:
        """Raises BadMetric."""
        try:
            compiled = regex.compile(pattern)
        except regex.error as error:
            raise BadMetric(f"Invalid regex for metric {name}: {error}") from None
        if compiled.groups < 1:
            raise BadMetric(f"The regex of metric {name} must have a capturing group: {pattern}")
        return cls(name, compiled)


@dataclass(frozen=True)
class MetricValue:
    name: str
    value: float
    timestamp: datetime


OnValue = Callable[[MetricValue], None]


class MetricFeed:
    """Lets others see the values of a running job as they are printed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, OnValue] = {}

    def listen(self, job: str, listener: OnValue) -> None:
        """Call `listener` with each value of the job with this ARN, from now on. It is called
        on the thread that reads the job's output, so it must be quick."""
        with self._lock:
            self._listeners[job] = listener

    def leave(self, job: str) -> None:
        with self._lock:
            self._listeners.pop(job, None)

    def tell(self, job: str, value: MetricValue) -> None:
        with self._lock:
            listener = self._listeners.get(job)
        if listener is not None:
            listener(value)


class MetricCollector:
    """Looks at each line, keeps the last value of each metric, publishes all of them."""

    def __init__(
        self,
        definitions: Sequence[MetricDefinition],
        aws: AwsSession,
        namespace: str,
        dimensions: Mapping[str, str],
        on_value: OnValue | None = None,
    ) -> None:
        self._definitions = definitions
        self._on_value = on_value
        self._aws, self._namespace = aws, namespace
        self._dimensions = [{"Name": k, "Value": v} for k, v in dimensions.items()]
        self._waiting: list[MetricValue] = []
        self._last: dict[str, MetricValue] = {}
        self._lock = threading.Lock()

    def read(self, line: str) -> None:
        for definition in self._definitions:
            try:
                for match in definition.regex.finditer(line, timeout=MATCH_SECONDS):
                    self._found(definition.name, match[1])
            except TimeoutError:
                LOG.warning("the regex of metric %s takes too long for a line", definition.name)

    def final_values(self) -> list[MetricValue]:
        with self._lock:
            return list(self._last.values())

    def publish(self) -> None:
        """Send what has not been sent."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), BATCH):
            data: list[dict[str, Any]] = [
                {
                    "MetricName": value.name,
                    "Dimensions": self._dimensions,
                    "Timestamp": value.timestamp,
                    "Value": value.value,
                }
                for value in waiting[start : start + BATCH]
            ]
            try:
                self._aws.put_metric_data(self._namespace, data)
            except Exception:
                LOG.exception("%s values for %s are lost", len(data), self._namespace)

    def _found(self, name: str, text: str | None) -> None:
        """CloudWatch takes numbers, and neither NaN nor infinity."""
        try:
            value = float(text or "")
        except ValueError:
            return
        if math.isfinite(value):
            self._keep(MetricValue(name, value, datetime.now(UTC)))

    def _keep(self, value: MetricValue) -> None:
        with self._lock:
            self._last[value.name] = value
            self._waiting.append(value)
            full = len(self._waiting) >= BATCH
        if self._on_value is not None:
            self._on_value(value)
        if full:
            self.publish()
