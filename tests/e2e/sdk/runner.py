"""Runs the scenarios of an SDK at once, each in a fork that has the SDK imported.

Its import takes seconds, and waiting for a job, which the SDK looks at every five to thirty
seconds, takes longer. This runs under the SDK's interpreter, which knows nothing of ours.
"""

import json
import os
import sys

import boto3

CODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "code")


def main(scenarios):
    """Leave `<name>.log` and `<name>.json` of each scenario in the directory that is named."""
    directory = sys.argv[1]
    pids = []
    for scenario in scenarios:
        pid = os.fork()
        if pid == 0:
            run(scenario, directory)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def run(scenario, directory):
    path = os.path.join(directory, scenario.__name__)
    log = os.open(path + ".log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        outcome = {"result": scenario()}
    except Exception as error:
        outcome = {"error": type(error).__name__, "text": str(error)}
    sys.stdout.flush()
    sys.stderr.flush()
    with open(path + ".json", "w") as file:
        json.dump(outcome, file)
    os._exit(0)


def put(bucket, key, body):
    """Put an object; its URI."""
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return f"s3://{bucket}/{key}"


def get(uri):
    bucket, _, key = uri[len("s3://") :].partition("/")
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def exists(uri):
    bucket, _, key = uri[len("s3://") :].partition("/")
    return boto3.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
