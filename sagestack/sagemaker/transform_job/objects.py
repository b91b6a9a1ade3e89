"""Objects: one input of a transform job, from S3 through the model to a file of answers.

Answers are written in the order of the records, whatever order they come in. The file is
complete or the object has failed. An object without records becomes an empty file.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from sagestack.engine.channels import Item
from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey
from sagestack.sagemaker.transform_job.data_processing import DataProcessing, Unprocessable
from sagestack.sagemaker.transform_job.json_path import BadPath
from sagestack.sagemaker.transform_job.requests import Failure, Requests, Stopped
from sagestack.sagemaker.transform_job.splitting import (
    BadRecord,
    Batching,
    TooLarge,
    requests_of,
)
from sagestack.serving.transport import Body

BLOCK = 1024**2
"""Bytes of a part of a body in HTTP's chunked encoding."""


@dataclass(frozen=True)
class InputObject:
    item: Item
    downloaded: Path
    """Where its content lies while it is transformed."""
    answers: Path
    """Where its output lies until the job ends."""

    @property
    def name(self) -> str:
        """As the job's log has it."""
        return f"{self.item.bucket}/{self.item.key}"

    @property
    def out(self) -> str:
        """The output's key below S3OutputPath."""
        return f"{self.item.path}.out"


@dataclass(frozen=True)
class Transformation:
    """What happens to every object of a job."""

    aws: AwsSession
    document: Mapping[str, Any]
    start: datetime

    def carry_out(self, obj: InputObject, batching: Batching, requests: Requests) -> None:
        """Raises Failure, Stopped."""
        try:
            processing = DataProcessing.of(self.document, self.start)
            self.aws.download(obj.item.bucket, obj.item.key, obj.downloaded)
            source = partial(self._open, obj.downloaded)
            with obj.answers.open("wb") as out:
                self._transform(source, out, processing, batching, requests)
        except (Failure, Stopped):
            raise
        except NoSuchBucket as error:
            raise Failure("ClientError", f"S3 bucket does not exist: {error}") from None
        except NoSuchKey as error:
            raise Failure("ClientError", f"S3 key does not exist: {error}") from None
        except TooLarge:
            raise Failure("ClientError", _too_large(batching, self._split_type)) from None
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise Failure("ClientError", f"Failed to decompress the input: {error}") from None
        except (BadPath, BadRecord, Unprocessable) as error:
            raise Failure("ClientError", str(error)) from None
        finally:
            obj.downloaded.unlink(missing_ok=True)

    @property
    def _split_type(self) -> str:
        split_type: str = self.document["TransformInput"]["SplitType"]
        return split_type

    def _open(self, path: Path) -> IO[bytes]:
        if self.document["TransformInput"]["CompressionType"] == "Gzip":
            return cast(IO[bytes], gzip.open(path))
        return path.open("rb")

    def _transform(
        self,
        source: Callable[[], IO[bytes]],
        out: IO[bytes],
        processing: DataProcessing,
        batching: Batching,
        requests: Requests,
    ) -> None:
        waiting: deque[tuple[list[bytes], Future[bytes]]] = deque()

        def take_oldest() -> None:
            records, answer = waiting.popleft()
            try:
                self._write(out, processing.output(records, answer.result()))
            finally:
                requests.release()

        try:
            for records, body in self._bodies(source, processing, batching):
                # With answers of its own to wait for, it must not wait for other objects.
                while not requests.acquire(blocking=not waiting):
                    take_oldest()
                waiting.append((records, requests.send(body)))
            while waiting:
                take_oldest()
        finally:
            for _, answer in waiting:
                answer.cancel()
                answer.add_done_callback(lambda _: requests.release())

    def _bodies(
        self, source: Callable[[], IO[bytes]], processing: DataProcessing, batching: Batching
    ) -> Iterator[tuple[list[bytes], Callable[[], Body]]]:
        """The records of each request and its body, which may be asked for more than once."""
        whole = batching.chunked and (self._split_type == "None" or not batching.single)
        with source() as file:
            if whole and not (processing.changes_input or processing.changes_output):
                if file.read(1):
                    yield [], lambda: _blocks(source)
                return
            for records in requests_of(file, self._split_type, batching):
                content = processing.request(records)
                body: Body = [content] if batching.chunked else content
                yield records, partial(_same, body)

    def _write(self, out: IO[bytes], answer: bytes) -> None:
        """AssembleWith Line: each answer is followed by a newline, unless it ends with one."""
        out.write(answer)
        if self.document["TransformOutput"]["AssembleWith"] == "Line" and answer[-1:] != b"\n":
            out.write(b"\n")


def _same(body: Body) -> Body:
    return body


def _blocks(source: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with source() as file:
        while block := file.read(BLOCK):
            yield block


def _too_large(batching: Batching, split_type: str) -> str:
    what = "The input" if split_type == "None" else "A record of the input"
    return f"{what} exceeds MaxPayloadInMB ({batching.payload_mb})"
