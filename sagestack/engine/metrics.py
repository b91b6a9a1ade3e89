"""Metrics found in a program's output by the regexes of MetricDefinitions."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagestack.engine.host import AwsSession

LOG = logging.getLogger(__name__)
BATCH = 500
"""Values in one PutMetricData call; its limit is 1,000."""


@dataclass(frozen=True)
class MetricDefinition:
    name: str
    regex: re.Pattern[str]
    """Its first group is the value."""


@dataclass(frozen=True)
class MetricValue:
    name: str
    value: float
    timestamp: datetime


class MetricCollector:
    """Looks at each line, keeps the last value of each metric, publishes all of them."""

    def __init__(
        self,
        definitions: Sequence[MetricDefinition],
        aws: AwsSession,
        namespace: str,
        dimensions: Mapping[str, str],
    ) -> None:
        self._definitions = definitions
        self._aws, self._namespace = aws, namespace
        self._dimensions = [{"Name": k, "Value": v} for k, v in dimensions.items()]
        self._waiting: list[MetricValue] = []
        self._last: dict[str, MetricValue] = {}
        self._lock = threading.Lock()

    def read(self, line: str) -> None:
        for definition in self._definitions:
            for match in definition.regex.finditer(line):
                try:
                    value = float(match[1])
                except (IndexError, TypeError, ValueError):
                    continue
                self._keep(MetricValue(definition.name, value, datetime.now(UTC)))

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

    def _keep(self, value: MetricValue) -> None:
        with self._lock:
            self._last[value.name] = value
            self._waiting.append(value)
            full = len(self._waiting) >= BATCH
        if full:
            self.publish()
