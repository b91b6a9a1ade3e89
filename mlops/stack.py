"""The CDK's command line: synthesise once, bootstrap once, deploy, read outputs, destroy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops.errors import JobFailed, LevelZeroError, NotYet
from mlops.session import ROOT, Session

BASE_CONCERNS = ("data-lake", "etl", "training")
BOOTSTRAP_STACK = "CDKToolkit"
Progress = Callable[[str], None]


class Stacks:
    """This environment's stacks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._settings = session.settings
        self._assembly = session.folder / "cdk.out"
        self._outputs: dict[str, dict[str, str]] = {}

    def synthesise(self, progress: Progress) -> None:
        """The cloud assembly, by running the app itself: the CDK's CLI adds two seconds only."""
        progress("synthesising")
        shutil.rmtree(self._assembly, ignore_errors=True)
        environment = {
            **os.environ,
            "CDK_OUTDIR": str(self._assembly),
            "CDK_CONTEXT_JSON": f'{{"env": "{self._settings.stage}"}}',
        }
        # CI and the tests have the CDK's slow template check on; a local loop does without.
        environment.setdefault("CDK_VALIDATION", "false" if self._session.local else "true")
        self._run([sys.executable, "app.py"], "synth", progress, environment)

    def bootstrap(self, progress: Progress) -> None:
        """What the CDK needs in an account, unless it is there."""
        if self._exists(BOOTSTRAP_STACK):
            return
        progress("bootstrapping (once per account and region)")
        where = f"aws://{self._session.account}/{self._settings.region}"
        self._cdk(["bootstrap", where], "bootstrap", progress)

    def deploy(
        self, concerns: Sequence[str], progress: Progress, parameters: dict[str, str] | None = None
    ) -> None:
        """Deploy these stacks from the assembly. JobFailed says what CloudFormation says."""
        if not self._assembly.exists():
            self.synthesise(progress)
        names = [self._settings.stack_name(concern) for concern in concerns]
        options = [f"--parameters={name}:{k}={v}" for name in names
                   for k, v in (parameters or {}).items()]  # fmt: skip
        command = ["deploy", *names, "--exclusively", "--require-approval=never"]
        command += ["--method=direct", "--concurrency=4", *options]
        try:
            self._cdk(command, f"deploy-{concerns[0]}", progress)
        except LevelZeroError as error:
            reasons = [reason for name in names for reason in self._failures(name)]
            if not reasons:
                raise
            raise JobFailed(f"stack {', '.join(names)}", reasons[0], tail=reasons[1:]) from error
        self._outputs.clear()

    def destroy(self, progress: Progress, concerns: Sequence[str] = ()) -> None:
        """These stacks, or every one of this environment; the CDK's own stack stays."""
        if not self._assembly.exists():
            self.synthesise(progress)
        names = [self._settings.stack_name(concern) for concern in concerns] or ["--all"]
        self._cdk(["destroy", *names, "--force", "--concurrency=4"], "destroy", progress)

    def output(self, concern: str, key: str) -> str:
        """One output of a stack. NotYet when the stack is not there."""
        name = self._settings.stack_name(concern)
        if name not in self._outputs:
            command = "deploy" if concern == "serving" else "deploy-platform"
            if not self._exists(name):
                raise NotYet(f"no stack {name}", command)
            [stack] = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
            found = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
            self._outputs[name] = found
        if key not in self._outputs[name]:
            raise LevelZeroError(f"stack {name} has no output {key}")
        return self._outputs[name][key]

    def key_arn(self) -> str | None:
        """The lake's encryption key, where the environment has one."""
        return self.output("data-lake", "DataKeyArn") if self._settings.kms else None

    @property
    def _cloudformation(self) -> Any:
        return self._session.client("cloudformation")

    def _exists(self, name: str) -> bool:
        try:
            [stack] = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return False
            raise
        return str(stack["StackStatus"]) not in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")

    def _failures(self, name: str) -> list[str]:
        try:
            events = self._cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        except ClientError:
            return []
        latest: list[str] = []
        for event in events:
            status = str(event["ResourceStatus"])
            own = event.get("PhysicalResourceId") == event.get("StackId")
            if own and status.endswith("_IN_PROGRESS") and "ROLLBACK" not in status:
                break
            if status.endswith("_FAILED") and event.get("ResourceStatusReason"):
                what = f"{event['ResourceType']} {event['LogicalResourceId']}"
                latest.append(f"{what}: {event['ResourceStatusReason']}")
        # The oldest failure is the cause; what follows was cancelled because of it.
        return latest[::-1]

    def _cdk(self, arguments: list[str], name: str, progress: Progress) -> None:
        cli = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
        if not cli.exists():
            raise LevelZeroError("the CDK's command line is not installed, run `make setup`")
        command = [node(), str(cli), *arguments, "--ci", "--no-color"]
        if arguments[0] != "bootstrap":
            command += ["--app", str(self._assembly)]
        cache = str(self._session.folder / "node-compile-cache")
        environment = {**os.environ, "NODE_COMPILE_CACHE": cache}
        self._run(command, name, progress, environment, cwd=self._session.folder)

    def _run(
        self,
        command: list[str],
        name: str,
        progress: Progress,
        environment: dict[str, str],
        cwd: Path = ROOT,
    ) -> None:
        """Run to the end, last line shown, everything kept in a file."""
        log = self._session.file(f"logs/{name}.log")
        with (
            log.open("w", encoding="utf-8") as kept,
            subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            lines: list[str] = []
            assert process.stdout is not None
            for line in process.stdout:
                kept.write(line)
                if line.strip():
                    lines.append(line.rstrip())
                    progress(line.strip())
        if process.returncode:
            what = f"`{name}` ended with exit code {process.returncode}"
            raise JobFailed(what, f"all of its output is in {log}", tail=lines[-15:])


def node() -> str:
    """The node beside this Python, else the one on PATH. LevelZeroError when there is none."""
    beside = Path(sys.executable).with_name("node")
    found = str(beside) if beside.exists() else shutil.which("node")
    if not found:
        raise LevelZeroError("node is not installed, run `make setup`")
    return found
