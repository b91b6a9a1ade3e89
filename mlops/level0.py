"""MLOps level 0, one command per step: `python -m mlops.level0 --help`.

Manual and script-driven. No pipeline, no CI, no CD, no monitoring: a person runs the steps, looks
at the numbers and decides. `docs/platform.md` says what that lacks.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.settings import ENVIRONMENTS, PREFIXES, Settings
from mlops import data
from mlops import predict as asking
from mlops.clean import empty_buckets
from mlops.errors import LevelZeroError, LogPlace
from mlops.jobs import TRAINING_LOGS
from mlops.report import Report
from mlops.session import Session
from mlops.steps import Outcome, Progress, Steps

DEFAULT_MONTHS = "1-3"


class Runner:
    """Runs steps for the command line; a failed one ends the program with exit code 1."""

    def __init__(self, stage: str) -> None:
        self.session = Session(Settings.of(stage))
        self.steps = Steps(self.session)
        self.report = Report()

    def do(self, name: str, work: Callable[[Progress], Outcome]) -> Outcome:
        """One step under the report's eyes."""
        try:
            return self.report.step(name, work)
        except LevelZeroError as error:
            self.report.failed(name, error, self.session)
        except (ClientError, BotoCoreError) as error:
            self.report.failed(name, LevelZeroError(_explain(error, self.session)), self.session)
        sys.exit(1)


def _explain(error: Exception, session: Session) -> str:
    if "connect" in str(error).lower() and session.local:
        return f"nothing answers at {session.endpoint_url}, run `sagestack up` first ({error})"
    return str(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--env", "stage", type=click.Choice(list(ENVIRONMENTS)), default="local")
@click.pass_context
def main(context: click.Context, stage: str) -> None:
    """Flight delays, from raw files to a served prediction, step by step."""
    context.obj = Runner(stage)


def _months(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    """`3`, `1,2,3` or `1-3`."""
    try:
        months: list[int] = []
        for part in value.split(","):
            first, dash, last = part.partition("-")
            months += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not like 3, 1,2,3 or 1-3") from None
    if not months or not all(1 <= month <= 12 for month in months):
        raise click.BadParameter(f"{value!r}: months are 1 to 12")
    return sorted(set(months))


def _pairs(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in value)
    if not all(pairs.values()):
        raise click.BadParameter("give hyperparameters as name=value")
    return pairs


months_option = click.option(
    "--months", default=DEFAULT_MONTHS, callback=_months, help="Months of 2013, such as 1-3."
)


@main.command("deploy-platform")
@click.pass_obj
def deploy_platform(runner: Runner) -> None:
    """Synthesise, bootstrap and deploy the data lake, ETL and training stacks."""
    runner.do("deploy platform", runner.steps.deploy_platform)


@main.command()
@months_option
@click.pass_obj
def upload(runner: Runner, months: list[int]) -> None:
    """Put real flights, weather and planes into the raw bucket."""
    runner.do("upload", lambda progress: runner.steps.upload(progress, months))


@main.command()
@click.pass_obj
def etl(runner: Runner) -> None:
    """Run the Glue job: raw CSV to a curated table."""
    runner.do("etl", runner.steps.etl)


@main.command()
@click.option("--months", default=None, help="YYYY-MM, comma-separated. [default: those uploaded]")
@click.pass_obj
def split(runner: Runner, months: str | None) -> None:
    """Split curated flights into train, validation and test."""
    runner.do("split", lambda progress: runner.steps.split(progress, months))


@main.command()
@click.option("--dataset", default=None, help="s3:// prefix. [default: the last split]")
@click.option(
    "--hyperparameter", "-p", multiple=True, callback=_pairs, help="name=value, repeated."
)
@click.pass_obj
def train(runner: Runner, dataset: str | None, hyperparameter: dict[str, str]) -> None:
    """Fit a model with a SageMaker training job."""
    runner.do("train", lambda progress: runner.steps.train(progress, dataset, hyperparameter))


@main.command()
@click.option("--model-data", default=None, help="s3:// URI. [default: the last training]")
@click.option("--dataset", default=None, help="s3:// prefix. [default: the last split]")
@click.pass_obj
def evaluate(runner: Runner, model_data: str | None, dataset: str | None) -> None:
    """Measure a model on the test split."""
    runner.do("evaluate", lambda progress: runner.steps.evaluate(progress, model_data, dataset))


@main.command()
@click.option("--model-data", default=None, help="s3:// URI. [default: the last training]")
@click.pass_obj
def deploy(runner: Runner, model_data: str | None) -> None:
    """Serve a model: any model.tar.gz in S3, however it came there."""
    runner.do("deploy", lambda progress: runner.steps.deploy(progress, model_data))


@main.command("predict")
@click.option("--month", default=4, type=click.IntRange(1, 12), help="Month of 2013 to ask about.")
@click.option(
    "--offline-python",
    default=sys.executable,
    help="Interpreter for the offline comparison, with the model's library versions.",
)
@click.pass_obj
def predict_command(runner: Runner, month: int, offline_python: str) -> None:
    """Ask the endpoint about real flights, and compare with offline and with what happened."""
    _predict(runner, month, offline_python)


@main.command()
@click.option("--keep-stacks", is_flag=True, help="Empty the buckets only.")
@click.confirmation_option("--yes", prompt="Delete this environment's data and stacks?")
@click.pass_obj
def clean(runner: Runner, keep_stacks: bool) -> None:
    """Empty the buckets, then destroy the stacks. Refused where data is to be kept."""

    def empty(progress: Progress) -> Outcome:
        session = runner.session
        count = empty_buckets(session.client("s3"), session.settings, session.account, progress)
        runner.steps.state.forget()
        return Outcome([f"{count} object versions deleted"])

    def stop_serving(progress: Progress) -> Outcome:
        # An endpoint writes what it has captured when it ends, into a bucket.
        runner.steps.stacks.destroy(progress, ["serving"])
        return Outcome(["endpoint, its configuration and model are gone"])

    def destroy(progress: Progress) -> Outcome:
        runner.steps.stacks.destroy(progress)
        return Outcome(["stacks destroyed; the CDK's own stack CDKToolkit stays"])

    if not keep_stacks:
        runner.do("stop serving", stop_serving)
    runner.do("empty buckets", empty)
    if not keep_stacks:
        runner.do("destroy", destroy)


@main.command()
@months_option
@click.option("--later", default=None, type=click.IntRange(1, 12), help="Month to ask about. "
              "[default: the one after]")  # fmt: skip
@click.pass_obj
def run(runner: Runner, months: list[int], later: int | None) -> None:
    """All of it: platform, data, ETL, split, training, evaluation, endpoint, predictions."""
    steps = runner.steps
    values = {}
    runner.do("deploy platform", steps.deploy_platform)
    runner.do("upload", lambda progress: steps.upload(progress, months))
    runner.do("etl", steps.etl)
    names = ",".join(data.month_name(month) for month in months)
    runner.do("split", lambda progress: steps.split(progress, names))
    values.update(runner.do("train", steps.train).values)
    values.update(runner.do("evaluate", steps.evaluate).values)
    runner.do("deploy", steps.deploy)
    values.update(_predict(runner, later or min(max(months) + 1, 12), sys.executable).values)
    runner.report.summary(runner.session, values, _look_around(runner))


def _predict(runner: Runner, month: int, python: str) -> Outcome:
    asked: list[asking.Answer] = []

    def work(progress: Progress) -> Outcome:
        steps, session = runner.steps, runner.session
        endpoint = steps.stacks.output("serving", "EndpointName")
        flights = asking.flights_of(month)
        progress(f"asking {endpoint} about {len(flights)} flights")
        answers = asking.ask(session.client("sagemaker-runtime"), endpoint, flights)
        asked.extend(answers)
        progress("asking the same model offline")
        artifact = steps.read(steps.stacks.output("serving", "ServedModelDataUrl"))
        with tempfile.TemporaryDirectory() as folder:
            check = asking.compare(answers, asking.unpack(artifact, Path(folder)), python)
        name = data.month_name(month)
        happened = [answer for answer in answers if answer.was_late is not None]
        actual = sum(bool(answer.was_late) for answer in happened) / len(happened)
        predicted = sum(answer.probability for answer in answers) / len(answers)
        called = [answer for answer in happened if answer.late]
        right = sum(bool(answer.was_late) for answer in called)
        score = asking.auc(answers)
        shown = "" if score is None else f"{score:.4f}"
        return Outcome(
            [
                f"{len(answers)} flights of {name}, AUC {shown or 'undefined'}; "
                f"of {len(called)} called late {right} were",
                check,
            ],
            {"later": (f"endpoint, {name}", shown, "", f"{actual:.3f}", f"{predicted:.3f}")},
        )

    outcome = runner.do("predict", work)
    runner.report.answers(asked)
    return outcome


def _look_around(runner: Runner) -> list[str]:
    settings, state = runner.session.settings, runner.steps.state
    stacks = runner.steps.stacks
    curated = stacks.output("data-lake", "CuratedBucketName")
    job = state.recall("training_job")
    logs = LogPlace(TRAINING_LOGS, job).commands(runner.session.sagestack_logs("training-job", job))
    return [
        f"aws s3 ls --recursive s3://{curated}/{PREFIXES.curated}/",
        f"aws s3 cp s3://{curated}/{PREFIXES.quarantine}/report.json -",
        f"aws s3 cp {state.recall('evaluation')} -",
        f"aws glue get-table --database-name {settings.glue_database} --name flights",
        f"aws sagemaker describe-training-job --training-job-name {job}",
        logs[0],
        f"aws sagemaker describe-endpoint --endpoint-name {settings.endpoint}",
        f"aws s3 ls --recursive s3://{stacks.output('data-lake', 'ModelBucketName')}/",
    ]


if __name__ == "__main__":
    main()
