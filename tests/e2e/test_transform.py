"""Batch transform on a live LocalStack: with boto3, and with the SDK v3 as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live import Live
from tests.emulator.transforms import CSV_LINES, SUMS, TransformJobs

TRANSFORM = """\
import json, logging, sys
import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.transformer import Transformer

logging.basicConfig(level=logging.INFO)
session = Session()
s3, bucket, prefix = boto3.client("s3"), session.default_bucket(), sys.argv[2]
for name, rows in (("a.csv", "7,1,2\\n8,3,4\\n"), ("b.csv", sys.argv[3] + "\\n")):
    s3.put_object(Bucket=bucket, Key=f"{prefix}/in/{name}", Body=rows.encode())
transformer = Transformer(
    model_name=sys.argv[1],
    instance_count=1,
    instance_type="ml.m5.large",
    strategy="MultiRecord",
    assemble_with="Line",
    accept="text/csv",
    output_path=f"s3://{bucket}/{prefix}/out",
    sagemaker_session=session,
)
answer = {}
try:
    transformer.transform(
        f"s3://{bucket}/{prefix}/in",
        content_type="text/csv",
        split_type="Line",
        input_filter="$[1:]",
        join_source="Input",
        output_filter="$[0,-1]",
        model_client_config={"InvocationsMaxRetries": 0},
        logs=True,
    )
except Exception as error:
    answer = {"error": type(error).__name__, "text": str(error)}
attached = Transformer.attach(transformer._current_job_name, sagemaker_session=session)
found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/out/").get("Contents", [])
outputs = {
    entry["Key"].rsplit("/", 1)[1]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    for entry in found
}
answer["outputs"] = {name: body.decode() for name, body in outputs.items()}
answer["status"] = attached.latest_transform_job.transform_job_status
print(json.dumps(answer))
"""


@pytest.fixture
def transforms(live: Live) -> TransformJobs:
    context: Any = live.context()
    return TransformJobs(context)


def with_the_sdk(live: Live, folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The answer of the SDK's program, and what else it printed."""
    script = folder / "transform.py"
    script.write_text(TRANSFORM)
    settings = live.sagestack("env", "--dotenv", str(folder / "settings"))
    assert settings.returncode == 0, settings.stderr
    lines = (folder / "settings").read_text().splitlines()
    variables = {name: json.loads(value) for name, _, value in (x.partition("=") for x in lines)}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env=live.environment() | variables,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def test_a_job_runs_and_its_logs_are_followed(live: Live, transforms: TransformJobs) -> None:
    transforms.put("in/data", "1,2\n3,4\n")
    job = transforms.run(SUMS, **CSV_LINES)
    assert transforms.outputs(job) == {"data.out": "3\n7\n"}
    log = live.sagestack("logs", "transform-job", job["TransformJobName"], "--follow").stdout
    assert "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in log


def test_the_sdks_transformer_joins_answers_with_their_input(
    live: Live, transforms: TransformJobs, tmp_path: Path
) -> None:
    model = transforms.model(SUMS)
    answer, log = with_the_sdk(live, tmp_path, model, "good", "9,5,6")
    assert answer == {
        "outputs": {"a.csv.out": "7,3\n8,7\n", "b.csv.out": "9,11\n"},
        "status": "Completed",
    }
    assert "the model is loaded" in log


def test_the_sdk_raises_its_own_error_with_our_reason(
    live: Live, transforms: TransformJobs, tmp_path: Path
) -> None:
    answer, _ = with_the_sdk(live, tmp_path, transforms.model(SUMS), "bad", "9,x,y")
    assert answer["error"] == "FailedStatusError"
    assert "AlgorithmError: See job logs for more information" in answer["text"]
    assert (answer["outputs"], answer["status"]) == ({"a.csv.out": "7,3\n8,7\n"}, "Failed")
