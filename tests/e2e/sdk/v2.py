"""The SDK v2, as its users write it. Each function is a scenario."""

import boto3
from runner import CODE, exists, get, main, put
from sagemaker import Session, get_execution_role
from sagemaker.inputs import TrainingInput
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
from sagemaker.sklearn.estimator import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner
from sagemaker.xgboost.estimator import XGBoost

INSTANCE = {"instance_type": "ml.m5.large", "instance_count": 1}


def sklearn():
    estimator = an_estimator("v2-sklearn", slope=2.0)
    estimator.fit({"train": TrainingInput(data())})
    return exists(estimator.model_data)


def sklearn_fails():
    an_estimator("v2-fails", slope=-1.0).fit({"train": data()})


def sklearn_processor():
    processor = SKLearnProcessor("1.2-1", role=get_execution_role(), **INSTANCE)
    uri = f"s3://{bucket()}/v2-script-out"
    processor.run(code=f"{CODE}/process.py", inputs=[numbers()], outputs=[doubled(uri)])
    return get(f"{uri}/doubled.csv")


def sklearn_processor_fails():
    processor = SKLearnProcessor("1.2-1", role=get_execution_role(), **INSTANCE)
    processor.run(code=f"{CODE}/process.py", inputs=[numbers()], arguments=["--fail"], logs=False)


def framework_processor():
    processor = FrameworkProcessor(
        SKLearn, framework_version="1.2-1", role=get_execution_role(), **INSTANCE
    )
    uri = f"s3://{bucket()}/v2-framework-out"
    processor.run(code="process.py", source_dir=CODE, inputs=[numbers()], outputs=[doubled(uri)])
    return get(f"{uri}/doubled.csv")


def xgboost():
    estimator = XGBoost(
        entry_point="train.py",
        source_dir=CODE,
        framework_version="1.7-1",
        role=get_execution_role(),
        base_job_name="v2-xgboost",
        hyperparameters={"slope": 2.0},
        **INSTANCE,
    )
    estimator.fit({"train": data()})
    return exists(estimator.model_data)


def tuner():
    tuner = a_tuner("v2-tuned", ContinuousParameter(0.5, 3.5))
    tuner.fit({"train": data()}, job_name="v2-tuned")
    best = boto3.client("sagemaker").describe_training_job(
        TrainingJobName=tuner.best_training_job()
    )
    return {
        "status": tuner.describe()["HyperParameterTuningJobStatus"],
        "trials": len(tuner.analytics().dataframe()),
        "model": exists(best["ModelArtifacts"]["S3ModelArtifacts"]),
    }


def tuner_fails():
    a_tuner("v2-untuned", ContinuousParameter(-2, -1)).fit({"train": data()}, job_name="v2-untuned")


def bucket_of_another_region():
    return Session(boto3.Session(region_name="eu-west-1")).default_bucket()


def an_estimator(name, **hyperparameters):
    return SKLearn(
        entry_point="train.py",
        source_dir=CODE,
        framework_version="1.2-1",
        role=get_execution_role(),
        base_job_name=name,
        hyperparameters=hyperparameters,
        **INSTANCE,
    )


def a_tuner(name, slopes):
    return HyperparameterTuner(
        an_estimator(name),
        objective_metric_name="score",
        metric_definitions=[{"Name": "score", "Regex": "score=(.*?);"}],
        hyperparameter_ranges={"slope": slopes},
        max_jobs=2,
        max_parallel_jobs=2,
    )


def bucket():
    return Session().default_bucket()


def data():
    return put(bucket(), "v2-data/data.csv", "1\n2\n3\n")


def numbers():
    return ProcessingInput(data(), "/opt/ml/processing/input/data", input_name="data")


def doubled(uri):
    return ProcessingOutput(
        output_name="doubled", source="/opt/ml/processing/output", destination=uri
    )


if __name__ == "__main__":
    main(
        [
            *(sklearn, sklearn_fails, sklearn_processor, sklearn_processor_fails),
            *(framework_processor, xgboost, tuner, tuner_fails, bucket_of_another_region),
        ]
    )
