"""Objects in binary formats, cut into requests; and what may be asked at once."""

import io
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from sagestack.engine.executor import Control
from sagestack.engine.pipe import RECORD_MAGIC, record_io
from sagestack.sagemaker.transform_job.requests import Failure, Requests
from sagestack.sagemaker.transform_job.splitting import (
    BadRecord,
    Batching,
    TooLarge,
    requests_of,
)
from sagestack.serving.transport import Body, Dropped, Reply

SINGLE = Batching(strategy="SINGLE_RECORD")
MAGIC = struct.pack("<I", RECORD_MAGIC)


def tf_record(content: bytes) -> bytes:
    return struct.pack("<Q4x", len(content)) + content + bytes(4)


def part(flag: int, content: bytes) -> bytes:
    """A part of a RecordIO record."""
    return MAGIC + struct.pack("<I", flag << 29 | len(content)) + content + bytes(-len(content) % 4)


def requests(content: bytes, split_type: str, batching: Batching) -> list[list[bytes]]:
    return list(requests_of(io.BytesIO(content), split_type, batching))


@pytest.mark.parametrize(("split_type", "pack"), [("RecordIO", record_io), ("TFRecord", tf_record)])
def test_records_are_unwrapped_when_they_go_alone(split_type: str, pack) -> None:
    content = pack(b"one") + pack(b"") + pack(b"three")
    assert requests(content, split_type, SINGLE) == [[b"one"], [b""], [b"three"]]


@pytest.mark.parametrize(("split_type", "pack"), [("RecordIO", record_io), ("TFRecord", tf_record)])
def test_records_stay_as_they_are_when_they_go_together(split_type: str, pack) -> None:
    records = [pack(b"one"), pack(b"two")]
    assert requests(b"".join(records), split_type, Batching()) == [records]


@pytest.mark.parametrize(("split_type", "pack"), [("RecordIO", record_io), ("TFRecord", tf_record)])
def test_records_that_end_early_are_bad(split_type: str, pack) -> None:
    for end in (4, 9, -1):
        with pytest.raises(BadRecord):
            requests(pack(b"content")[:end], split_type, Batching())


@pytest.mark.parametrize(("split_type", "pack"), [("RecordIO", record_io), ("TFRecord", tf_record)])
@pytest.mark.parametrize("batching", [Batching(payload_mb=1), Batching(1, 1, "SINGLE_RECORD")])
def test_a_record_that_is_too_large(split_type: str, pack, batching: Batching) -> None:
    with pytest.raises(TooLarge):
        requests(pack(bytes(1024**2 + 1)), split_type, batching)


def test_a_record_io_record_in_parts_is_one() -> None:
    parts = part(1, b"head") + part(2, b"body") + part(3, b"tail")
    assert requests(parts, "RecordIO", SINGLE) == [[b"head" + MAGIC + b"body" + MAGIC + b"tail"]]
    assert requests(parts, "RecordIO", Batching()) == [[parts]]


def test_what_is_no_record_io() -> None:
    with pytest.raises(BadRecord):
        requests(b"something else", "RecordIO", Batching())


class Model:
    """Answers when as many requests have come as may come at once."""

    def __init__(self, most: int) -> None:
        self.barrier = threading.Barrier(most)

    def invoke(self, body: Body, headers: Mapping[str, str], seconds: float) -> Reply:
        try:
            self.barrier.wait(10)
        except threading.BrokenBarrierError:
            raise Dropped from None
        return Reply(200, b"answer", {})


def made(model: Model, most: int) -> Requests:
    return Requests(model, Control(), most=most, headers={}, seconds=1, retries=0)


def test_as_many_requests_as_allowed_are_under_way_at_once() -> None:
    requests = made(Model(3), most=3)
    answers = [requests.send(lambda: b"") for _ in range(3)]
    assert [answer.result() for answer in answers] == [b"answer"] * 3


def test_not_more_requests_than_allowed_are_under_way_at_once(tmp_path: Path) -> None:
    model = Model(2)
    requests = made(model, most=1)
    answers = [requests.send(lambda: b"") for _ in range(2)]
    model.barrier.abort()
    for answer in answers:
        with pytest.raises(Failure):
            answer.result()
