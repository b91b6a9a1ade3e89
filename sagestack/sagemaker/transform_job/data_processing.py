"""DataProcessing: what of a record the model sees, and what of it stands beside the answer.

CSV rows and JSON lines are taken one by one, in requests of several records too: the answer
must have a line for each then. Source: developer guide, batch-transform-data-processing
and model-monitor-data-capture-batch.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sagestack.sagemaker.transform_job.json_path import JsonPath, NoMatch

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
TYPES = (CSV, JSON, JSON_LINES)
INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
INFERENCE_ID, INFERENCE_TIME = "SageMakerInferenceId", "SageMakerInferenceTime"


class Unprocessable(Exception):
    """A record can't be filtered or joined. The text is for the job's log."""


def essence(content_type: str | None) -> str:
    """`Text/CSV; charset=utf-8` -> `text/csv`."""
    return (content_type or "").split(";", 1)[0].strip().lower()


class _Csv:
    name = "CSV"

    @staticmethod
    def read(text: str) -> Any:
        (row,) = csv.reader([text.strip("\r\n")], strict=True)
        return row

    @staticmethod
    def write(value: Any) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return line.getvalue()

    @staticmethod
    def join(given: Any, answer: Any) -> Any:
        return [*given, *answer]

    @staticmethod
    def stamp(value: Any, inference_id: str, time: str) -> Any:
        return [*(value if isinstance(value, list) else [value]), inference_id, time]


class _Json:
    name = "JSON"

    @staticmethod
    def read(text: str) -> Any:
        return json.loads(text)

    @staticmethod
    def write(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def join(given: Any, answer: Any) -> Any:
        if isinstance(given, dict):
            return given | {OUTPUT: answer}
        return {INPUT: given, OUTPUT: answer}

    @staticmethod
    def stamp(value: Any, inference_id: str, time: str) -> Any:
        marked = value if isinstance(value, dict) else {OUTPUT: value}
        return marked | {INFERENCE_ID: inference_id, INFERENCE_TIME: time}


@dataclass(frozen=True)
class DataProcessing:
    input_filter: JsonPath
    output_filter: JsonPath
    join: bool
    given: type[_Csv] | type[_Json]
    answered: type[_Csv] | type[_Json]
    by_line: bool
    inference_time: str | None
    """When GenerateInferenceId is on, the job's start, which stands in every line."""

    @classmethod
    def of(cls, document: Mapping[str, Any], start: datetime) -> DataProcessing:
        """Of a job's document. Raises BadPath."""
        wish = document["DataProcessing"]
        source, target = document["TransformInput"], document["TransformOutput"]
        given, answered = essence(source.get("ContentType")), essence(target.get("Accept"))
        mark = document.get("DataCaptureConfig", {}).get("GenerateInferenceId", False)
        return cls(
            JsonPath(wish["InputFilter"]),
            JsonPath(wish["OutputFilter"]),
            wish["JoinSource"] == "Input",
            _Csv if given == CSV else _Json,
            _Csv if answered == CSV else _Json,
            source["SplitType"] == "Line" or not {CSV, JSON_LINES}.isdisjoint((given, answered)),
            f"{start:%Y-%m-%dT%H:%M:%SZ}" if mark else None,
        )

    @property
    def changes_input(self) -> bool:
        return not self.input_filter.is_root

    @property
    def changes_output(self) -> bool:
        return self.join or not self.output_filter.is_root or self.inference_time is not None

    def request(self, records: list[bytes]) -> bytes:
        """The body that the model is sent for these records. Raises Unprocessable."""
        if not self.changes_input:
            return b"".join(records)
        lines = [
            self.given.write(self._select(self.input_filter, value))
            for value in self._values(b"".join(records), "input", self.given)
        ]
        return "\n".join(lines).encode()

    def output(self, records: list[bytes], answer: bytes) -> bytes:
        """What is stored for the model's answer. Raises Unprocessable."""
        if not self.changes_output:
            return answer
        values = self._values(answer, "output from the algorithm", self.answered)
        if self.join:
            given = self._values(b"".join(records), "input", self.given)
            if len(given) != len(values):
                raise Unprocessable(
                    f"Failed to join the output with the input: {len(given)} records were sent "
                    f"and {len(values)} came back"
                )
            values = [self.answered.join(*pair) for pair in zip(given, values, strict=True)]
        lines = [
            self.answered.write(self._stamp(self._select(self.output_filter, value)))
            for value in values
        ]
        return "\n".join(lines).encode()

    def _stamp(self, value: Any) -> Any:
        if self.inference_time is None:
            return value
        return self.answered.stamp(value, str(uuid.uuid4()), self.inference_time)

    def _values(self, body: bytes, what: str, format_: type[_Csv] | type[_Json]) -> list[Any]:
        """The records of a body. One JSON document may stand in several lines."""
        read: Callable[[str], Any] = format_.read
        try:
            text = body.decode()
            lines = [line for line in text.split("\n") if line.strip()]
            if not self.by_line or (format_ is _Json and len(lines) > 1 and _is_json(text)):
                return [read(text)]
            return [read(line) for line in lines]
        except (ValueError, csv.Error) as error:
            raise Unprocessable(f"Failed to parse {what} as {format_.name}: {error}") from None

    @staticmethod
    def _select(path: JsonPath, value: Any) -> Any:
        try:
            return path.select(value)
        except NoMatch as error:
            raise Unprocessable(f"Failed to apply the JsonPath {error}") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
