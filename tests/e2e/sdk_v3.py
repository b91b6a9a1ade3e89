"""A program of the SageMaker SDK v3, as a user writes it: nothing in it knows of sagestack.

Prints what came of its three jobs as one line of JSON.
"""

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

logging.basicConfig(level=logging.INFO)
HERE = Path(sys.argv[1])
ROLE = os.environ["SAGEMAKER_ROLE_ARN"]
session = Session()
image = image_uris.retrieve("sklearn", "us-east-1", version="1.2-1", instance_type="ml.m5.large")


def train(name: str, hyperparameters: dict[str, object]) -> dict[str, object]:
    trainer = ModelTrainer(
        training_image=image,
        role=ROLE,
        sagemaker_session=session,
        base_job_name=name,
        source_code=SourceCode(source_dir=str(HERE / "source"), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters=hyperparameters,
    )
    data = [InputData(channel_name="train", data_source=str(HERE / "data"))]
    try:
        trainer.train(input_data_config=data, logs=True)
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}
    job = trainer._latest_training_job
    return {"status": job.training_job_status, "model": job.model_artifacts.s3_model_artifacts}


def process() -> dict[str, object]:
    processor = ScriptProcessor(
        image_uri=image,
        command=["python3"],
        role=ROLE,
        instance_type="ml.m5.large",
        instance_count=1,
        sagemaker_session=session,
    )
    target = f"s3://{session.default_bucket()}/processed"
    output = ProcessingOutput(
        output_name="out",
        s3_output=ProcessingS3Output(
            s3_uri=target, local_path="/opt/ml/processing/out", s3_upload_mode="EndOfJob"
        ),
    )
    processor.run(
        code=str(HERE / "process.py"), arguments=["--word", "hello"], outputs=[output], logs=False
    )
    body = boto3.client("s3").get_object(Bucket=session.default_bucket(), Key="processed/word")
    return {"word": body["Body"].read().decode()}


with ThreadPoolExecutor(3) as pool:
    good = pool.submit(train, "good", {"epochs": 3, "words": ["a", "b"]})
    bad = pool.submit(train, "bad", {"fail": True})
    processed = pool.submit(process)
print(json.dumps({"good": good.result(), "bad": bad.result(), "processed": processed.result()}))
