"""What a training job leaves in S3: its model and its output data.

Source of the keys: contract, section 1.4. The hosts' directories become one archive; where
two hosts have a file of one name, the first host's is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document
from sagestack.engine.archive import is_empty, pack
from sagestack.engine.channels import upload_directory
from sagestack.engine.host import AwsSession
from sagestack.engine.s3_uri import join_s3_uri, parse_s3_uri
from sagestack.engine.workspace import left_at


def upload_model(aws: AwsSession, document: Document, directories: Sequence[Path]) -> str:
    """The model's URI. Raises NoSuchBucket, LeadsOut."""
    output, base = document["OutputDataConfig"], _base(document)
    models = [left_at(directory, "/opt/ml/model") for directory in directories]
    if output.get("CompressionType", "GZIP") == "NONE":
        uri = f"{base}/model/"
        for model in reversed(models):
            upload_directory(aws, model, uri, kms_key_id=output.get("KmsKeyId"))
        return uri
    return _upload_archive(aws, models, f"{base}/model.tar.gz", output)


def upload_output_data(aws: AwsSession, document: Document, directories: Sequence[Path]) -> None:
    """output.tar.gz, where a host has left something for it. Raises NoSuchBucket, LeadsOut."""
    data = [left_at(directory, "/opt/ml/output/data") for directory in directories]
    if all(is_empty(directory) for directory in data):
        return
    _upload_archive(aws, data, f"{_base(document)}/output.tar.gz", document["OutputDataConfig"])


def _upload_archive(
    aws: AwsSession, directories: Sequence[Path], uri: str, output: dict[str, Any]
) -> str:
    archive = directories[0].with_name(f"{directories[0].name}.tar.gz")
    pack(directories, archive)
    aws.upload(archive, *parse_s3_uri(uri), kms_key_id=output.get("KmsKeyId"))
    archive.unlink()
    return uri


def _base(document: Document) -> str:
    path = document["OutputDataConfig"]["S3OutputPath"]
    return join_s3_uri(path, document["TrainingJobName"], "output")
