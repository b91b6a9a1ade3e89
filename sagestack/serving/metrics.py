"""Invocation metrics: one measure per call, sent to CloudWatch in batches.

Namespace AWS/SageMaker, dimensions EndpointName and VariantName. Source of the names and
of what counts as what: contract, section 1.8, and AWS's page on invocation metrics.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagestack.engine.host import AwsSession
from sagestack.serving.batch import Batch

NAMESPACE = "AWS/SageMaker"
SECONDS = 5.0
"""Between two batches."""
MOST_VALUES = 150
"""Different values in one datum. Source: PutMetricData."""
MOST_DATA = 500
"""Data in one PutMetricData call; its limit is 1,000."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One call. Times are in microseconds."""

    aws: AwsSession
    endpoint: str
    variant: str
    instances: int
    status: int
    """The container's HTTP status; 0 where it gave none."""
    model_latency: float
    overhead: float


class InvocationMetrics:
    def __init__(self, seconds: float = SECONDS) -> None:
        self._batch = Batch[Measure](send, name="invocation-metrics", seconds=seconds, most=10_000)

    def add(self, measure: Measure) -> None:
        self._batch.add(measure)

    def flush(self) -> None:
        self._batch.flush()

    def close(self) -> None:
        self._batch.close()


def send(measures: list[Measure]) -> None:
    now = datetime.now(UTC)
    sessions: dict[tuple[str, str], AwsSession] = {}
    data: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    groups: dict[tuple[str, str, str, str], list[Measure]] = defaultdict(list)
    for measure in measures:
        aws = measure.aws
        sessions[aws.account, aws.region] = aws
        groups[aws.account, aws.region, measure.endpoint, measure.variant].append(measure)
    for (account, region, endpoint, variant), group in groups.items():
        dimensions = [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ]
        for name, unit, values in _values(group):
            for part in _parts(values):
                data[account, region].append(
                    {
                        "MetricName": name,
                        "Dimensions": dimensions,
                        "Timestamp": now,
                        "Unit": unit,
                        "Values": list(part),
                        "Counts": list(part.values()),
                    }
                )
    for key, all_data in data.items():
        for start in range(0, len(all_data), MOST_DATA):
            sessions[key].put_metric_data(NAMESPACE, all_data[start : start + MOST_DATA])


def _values(group: list[Measure]) -> Iterator[tuple[str, str, Mapping[float, float]]]:
    """Each metric with its unit, and how often each value came."""
    yield "Invocations", "None", {1.0: float(len(group))}
    yield "InvocationsPerInstance", "None", Counter(1.0 / m.instances for m in group)
    yield "Invocation4XXErrors", "None", Counter(float(400 <= m.status < 500) for m in group)
    yield "Invocation5XXErrors", "None", Counter(float(m.status >= 500) for m in group)
    yield "InvocationModelErrors", "None", Counter(float(not _good(m.status)) for m in group)
    yield "ModelLatency", "Microseconds", Counter(float(round(m.model_latency)) for m in group)
    yield "OverheadLatency", "Microseconds", Counter(float(round(m.overhead)) for m in group)


def _good(status: int) -> bool:
    return 200 <= status < 300


def _parts(values: Mapping[float, float]) -> Iterator[dict[float, float]]:
    items = list(values.items())
    for start in range(0, len(items), MOST_VALUES):
        yield {value: float(count) for value, count in items[start : start + MOST_VALUES]}
