"""A Python shell job run, carried out: its files, its modules, its script, its end.

What the script sees: its own files below /opt/ml, the extra files in the directory it starts
in, its modules on PYTHONPATH, `awsglue.utils`, and the arguments as `--key value`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from sagestack.aws.document import Document
from sagestack.context import Context
from sagestack.engine.child import INIT
from sagestack.engine.container import Cause, Container, Exit, run
from sagestack.engine.executor import Control
from sagestack.engine.images import Environment, ImageBuildError
from sagestack.engine.logs import LogWriter
from sagestack.engine.workspace import Workspace
from sagestack.glue.job_run_record import End, JobRunRecord
from sagestack.glue.python_files import INSIDE, Files, RunFailed, fetch_files
from sagestack.glue.python_modules import (
    failure_text,
    install_commands,
    install_variables,
    replaces_modules,
    uv_binary,
)
from sagestack.glue.traceback_reader import TracebackReader

IMAGE = "glue-shell"
SESSION = "GlueJobRunnerSession"
"""The role session's name, as on AWS."""
GRACE = 10.0
"""Seconds that a script has after SIGTERM. AWS does not say how long it waits."""
MINUTE = 60.0
"""What the unit of Timeout is, in seconds."""


def execute(record: JobRunRecord, job: Document, document: Document, control: Control) -> End:
    """Run to the end; how it ended. What the user can put right never raises."""
    if control.stop_requested:
        return End("STOPPED")
    workspace = Workspace.create(record.context.instance.directory / "jobs", record.arn)
    try:
        shell = _prepare(record.context, job, document, control, workspace.host("run"))
        if control.stop_requested or not record.begin():
            return End("STOPPED")
        return shell.run()
    except RunFailed as error:
        return End("FAILED", str(error))
    except ImageBuildError as error:
        return End("FAILED", f"The {IMAGE} environment could not be built: {error}")
    finally:
        workspace.remove()


def _prepare(
    context: Context, job: Document, document: Document, control: Control, directory: Path
) -> _Shell:
    images = context.instance.images
    files = fetch_files(context.aws, job["Command"], document["Arguments"], directory)
    return _Shell(
        context=context,
        document=document,
        control=control,
        directory=directory,
        files=files,
        environment=images.environment(images.find(IMAGE)),
        credentials=context.aws.role_environment(role_arn(job["Role"], context), SESSION),
    )


def role_arn(role: str, context: Context) -> str:
    """A job's role may be given as an ARN or as a name."""
    if role.startswith("arn:"):
        return role
    return f"arn:{context.caller.partition}:iam::{context.caller.account}:role/{role}"


@dataclass(frozen=True)
class _Shell:
    """A run that is ready to begin."""

    context: Context
    document: Document
    control: Control
    directory: Path
    files: Files
    environment: Environment
    credentials: dict[str, str]

    def run(self) -> End:
        group, stream = self.document["LogGroupName"], self.document["Id"]
        output = LogWriter(self.context.aws, f"{group}/output", stream)
        errors = LogWriter(self.context.aws, f"{group}/error", stream)
        begun = time.monotonic()
        deadline = begun + self.document["Timeout"] * MINUTE
        try:
            end = self._install(output, deadline) or self._script(output, errors, deadline)
        finally:
            output.close()
            errors.close()
        return End(end.state, end.error, time.monotonic() - begun)

    def _install(self, output: LogWriter, deadline: float) -> End | None:
        """Install the run's own modules; how the run ended if that did not work."""
        options = self.document["Arguments"].get("--python-modules-installer-option", "")
        for command in install_commands(self.files, self.environment, options):
            said: list[str] = []

            def on_error_line(line: str, said: list[str] = said) -> None:
                said.append(line)
                output.write(line)

            container = Container(
                environment=self.environment,
                command=command,
                variables=install_variables(),
                directory=self.directory,
                read_only_paths=(uv_binary(),),
            )
            ended = run(
                container,
                self.control,
                output.write,
                on_error_line,
                max_seconds=max(0.1, deadline - time.monotonic()),
                grace=min(GRACE, self.context.instance.stop_seconds),
            )
            if ended.cause is not Cause.EXITED or ended.code != 0:
                reason = failure_text(said)
                return _end(ended, f"The job's Python modules were not installed: {reason}")
        return None

    def _script(self, output: LogWriter, errors: LogWriter, deadline: float) -> End:
        traceback = TracebackReader()

        def on_error_line(line: str) -> None:
            traceback.read(line)
            errors.write(line)

        environment = self.environment
        if replaces_modules(self.directory, environment):
            environment = replace(environment, worker=None)
        container = Container(
            environment=environment,
            command=(str(environment.python), self.files.script, *self._arguments()),
            variables={**self.credentials, "PYTHONPATH": self.files.python_path},
            directory=self.directory,
            working_directory=f"{INSIDE}/work",
            read_only_paths=(INIT.parent,),
        )
        ended = run(
            container,
            self.control,
            output.write,
            on_error_line,
            max_seconds=max(0.1, deadline - time.monotonic()),
            grace=min(GRACE, self.context.instance.stop_seconds),
        )
        return _end(ended, traceback.error or f"Command failed with exit code {ended.code}")

    def _arguments(self) -> list[str]:
        of_glue = {"--JOB_NAME": self.document["JobName"], "--JOB_RUN_ID": self.document["Id"]}
        given = self.document["Arguments"]
        # library-set is for Glue and has no hyphens; the image's libraries are always there.
        arguments = of_glue | {key: given[key] for key in given if key != "library-set"}
        return [part for argument in arguments.items() for part in argument]


def _end(ended: Exit, error: str) -> End:
    if ended.cause is Cause.STOPPED:
        return End("STOPPED")
    if ended.cause is Cause.TIMED_OUT:
        return End("TIMEOUT")
    return End("SUCCEEDED") if ended.code == 0 else End("FAILED", error)
