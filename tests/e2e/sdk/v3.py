"""The SDK v3, as its users write it. Each function is a scenario."""

import io
import logging
import os
import tarfile

import boto3
from runner import CODE, exists, get, main, put
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import ContinuousParameter
from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.transformer import Transformer
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.tuner import HyperparameterTuner

IMAGE = image_uris.retrieve("sklearn", os.environ["AWS_REGION"], version="1.2-1")
INSTANCE = {"instance_type": "ml.m5.large", "instance_count": 1}


def model_trainer():
    trainer = a_trainer("v3-trainer", slope="2.0")
    trainer.train(input_data_config=[train_channel()])
    job = boto3.client("sagemaker").describe_training_job(
        TrainingJobName=trainer._latest_training_job.training_job_name
    )
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    return {"status": job["TrainingJobStatus"], "model": exists(model)}


def model_trainer_fails():
    a_trainer("v3-fails", slope="-1.0").train(input_data_config=[train_channel()])


def script_processor():
    processor = ScriptProcessor(
        role=get_execution_role(), image_uri=IMAGE, command=["python3"], **INSTANCE
    )
    uri = f"s3://{bucket()}/v3-script-out"
    processor.run(code=f"{CODE}/process.py", inputs=[numbers()], outputs=[doubled(uri)])
    return get(f"{uri}/doubled.csv")


def script_processor_fails():
    processor = ScriptProcessor(
        role=get_execution_role(), image_uri=IMAGE, command=["python3"], **INSTANCE
    )
    processor.run(code=f"{CODE}/process.py", inputs=[numbers()], arguments=["--fail"], wait=False)
    # Waiting in `run`, the SDK 3.27 ends in an AttributeError of its own.
    processor.latest_job.wait()


def framework_processor():
    processor = FrameworkProcessor(role=get_execution_role(), image_uri=IMAGE, **INSTANCE)
    uri = f"s3://{bucket()}/v3-framework-out"
    processor.run(code="process.py", source_dir=CODE, inputs=[numbers()], outputs=[doubled(uri)])
    return get(f"{uri}/doubled.csv")


def tuner():
    tuner = a_tuner("v3-tuned", ContinuousParameter(0.5, 3.5))
    tuner.tune(inputs=[train_channel()], job_name="v3-tuned")
    best = boto3.client("sagemaker").describe_training_job(
        TrainingJobName=tuner.best_training_job()
    )
    return {
        "status": tuner.describe().hyper_parameter_tuning_job_status,
        "trials": len(tuner.analytics().dataframe()),
        "model": exists(best["ModelArtifacts"]["S3ModelArtifacts"]),
    }


def tuner_fails():
    a_tuner("v3-untuned", ContinuousParameter(-2, -1)).tune(
        inputs=[train_channel()], job_name="v3-untuned"
    )


def transformer():
    a_model("v3-doubler", "return [2 * float(value) for value in data.split()]")
    uri = f"s3://{bucket()}/v3-transformed"
    a_transformer("v3-doubler", uri).transform(data=data(), content_type="text/csv")
    return get(f"{uri}/data.csv.out")


def transformer_fails():
    a_model("v3-broken", "raise ValueError('broken model')")
    transformer = a_transformer("v3-broken", f"s3://{bucket()}/v3-broken")
    transformer.transform(data=data(), content_type="text/csv")


def a_trainer(name, **hyperparameters):
    return ModelTrainer(
        training_image=IMAGE,
        role=get_execution_role(),
        base_job_name=name,
        source_code=SourceCode(source_dir=CODE, entry_script="train.py"),
        compute=Compute(**INSTANCE),
        hyperparameters=hyperparameters,
    )


def a_tuner(name, slopes):
    return HyperparameterTuner(
        model_trainer=a_trainer(name),
        objective_metric_name="score",
        metric_definitions=[{"Name": "score", "Regex": "score=(.*?);"}],
        hyperparameter_ranges={"slope": slopes},
        max_jobs=2,
        max_parallel_jobs=2,
    )


def a_transformer(model, uri):
    return Transformer(model_name=model, output_path=uri, **INSTANCE)


def a_model(name, body):
    """A model that answers with what `body` returns for a record's `data`."""
    script = f"""
def model_fn(directory): return None
def input_fn(data, content_type): return data if isinstance(data, str) else data.decode()
def predict_fn(data, model): {body}
def output_fn(values, accept): return "\\n".join(map(str, values))
""".encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(script)
        tar.addfile(member, io.BytesIO(script))
    uri = put(bucket(), f"{name}/model.tar.gz", archive.getvalue())
    boto3.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=get_execution_role(),
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri},
    )


def bucket():
    return Session().default_bucket()


def data():
    return put(bucket(), "v3-data/data.csv", "1\n2\n3\n")


def train_channel():
    return InputData(channel_name="train", data_source=data())


def numbers():
    return ProcessingInput(
        input_name="data",
        s3_input=ProcessingS3Input(
            s3_uri=data(),
            local_path="/opt/ml/processing/input/data",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
        ),
    )


def doubled(uri):
    return ProcessingOutput(
        output_name="doubled",
        s3_output=ProcessingS3Output(
            s3_uri=uri, local_path="/opt/ml/processing/output", s3_upload_mode="EndOfJob"
        ),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)  # its lines of a job's log come by this way
    main(
        [
            *(model_trainer, model_trainer_fails, script_processor, script_processor_fails),
            *(framework_processor, tuner, tuner_fails, transformer, transformer_fails),
        ]
    )
