"""Input read from LocalStack's storage is what GetObject would give."""

from __future__ import annotations

import hashlib
import os

import pytest
from botocore.exceptions import ClientError

from tests.e2e.live import Live
from tests.emulator.jobs import TrainingJobs, channel

VERSIONED = "versioned"
DIGESTS = """
    import hashlib, json, pathlib
    folder = pathlib.Path("/opt/ml/input/data/train")
    files = [path for path in folder.rglob("*") if path.is_file()]
    print(json.dumps({str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files}))
"""


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_objects_of_every_kind_arrive_whole(live: Live, training: TrainingJobs, mode: str) -> None:
    s3 = live.context().client("s3")
    key = live.context().client("kms").create_key()["KeyMetadata"]["KeyId"]
    if VERSIONED not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=VERSIONED)
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration=enabled)
    large = os.urandom(6 * 1024**2)
    content = {"empty": b"", "small": b"small", "new": b"new", "large": large, "kms": b"kms"}
    s3.put_object(Bucket=VERSIONED, Key=f"{mode}/new", Body=b"old")
    for name, body in content.items():
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        members = encryption if name == "kms" else {}
        s3.put_object(Bucket=VERSIONED, Key=f"{mode}/{name}", Body=body, **members)
    s3.put_object(Bucket=VERSIONED, Key=f"{mode}/gone", Body=b"gone")
    s3.delete_object(Bucket=VERSIONED, Key=f"{mode}/gone")
    _put_in_parts(s3, f"{mode}/folder/parts", large)
    content["folder/parts"] = large
    train = channel("train", f"s3://{VERSIONED}/{mode}/", InputMode=mode)
    answer = training.answer(DIGESTS, channels=[train])
    assert answer == {name: hashlib.sha256(body).hexdigest() for name, body in content.items()}


def test_object_with_a_key_of_the_customers_is_refused_as_s3_refuses_it(
    live: Live, training: TrainingJobs
) -> None:
    s3 = live.context().client("s3")
    secret = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    uri = training.put("customers/plain")
    s3.put_object(Bucket=uri.split("/")[2], Key="customers/secret", Body=b"secret", **secret)
    with pytest.raises(ClientError):
        training.get("customers/secret")
    job = training.run("print('ran')", channels=[channel("train", uri.rsplit("/", 1)[0])])
    assert training.status(job) == "Failed"


def _put_in_parts(s3, key: str, body: bytes) -> None:  # type: ignore[no-untyped-def]
    upload = {"Bucket": VERSIONED, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    size = 5 * 1024**2
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(
                **upload, PartNumber=number, Body=body[(number - 1) * size : number * size]
            )["ETag"],
        }
        for number in (1, 2)
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
