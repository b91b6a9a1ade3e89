"""sagestack: start LocalStack with the plugin, look into it, end it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sagestack import __version__
from sagestack.doctor import diagnose
from sagestack.engine.images import (
    BUILT_IN,
    Image,
    ImageBuildError,
    Images,
    added_images,
    setting_of,
)
from sagestack.log_reader import GROUPS, follow_logs
from sagestack.paths import environments_directory
from sagestack.sdk_environment import as_dotenv, as_shell, sdk_environment, write_user_config
from sagestack.server import (
    LOCALSTACK,
    Server,
    ServerError,
    localstack_environment,
    server_on,
    servers,
)

DEFAULT_PORT = 4566
OUT = Console(highlight=False)
ERROR = Console(stderr=True, highlight=False)

port_option = click.option(
    "--port", default=DEFAULT_PORT, show_default=True, envvar="SAGESTACK_PORT", type=int
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """SageMaker and Glue that really run, on LocalStack."""


@main.command()
@port_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to listen on.")
@click.option("--foreground", is_flag=True, help="Stay, print the log, end with Ctrl-C.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="REPOSITORY=PATH",
    help="Run images of this repository in the environment of a requirements file or an "
    "interpreter, or with a folder's programs. Can be given several times.",
)
@click.option(
    "--persist", is_flag=True, help="Keep records and artifacts for the next start (PERSISTENCE=1)."
)
@click.option(
    "--hold-stacks",
    type=float,
    metavar="SECONDS",
    help="Let calls that change a stack answer when it is done, or after so many seconds. "
    "`cdk deploy` is done 5 s earlier by it.",
)
def up(
    port: int,
    host: str,
    foreground: bool,
    images: tuple[str, ...],
    persist: bool,
    hold_stacks: float | None,
) -> None:
    """Start LocalStack with the plugin; return when it answers."""
    server = Server(port, host)
    if server.process() is not None:
        OUT.print(f"sagestack is already up at {server_on(port).endpoint_url}")
        return
    settings: dict[str, str] = {}
    if persist:
        settings["PERSISTENCE"] = "1"
    if hold_stacks is not None:
        settings["SAGESTACK_HOLD_STACKS"] = str(hold_stacks)
    try:
        setting = ",".join(images) or os.environ.get("SAGESTACK_IMAGES", "")
        settings["SAGESTACK_IMAGES"] = setting_of(added_images(setting))
        _build(LOCALSTACK)
        process = server.start(localstack_environment(), settings)
        if foreground:
            _stay(server, process)
            return
        with OUT.status("starting LocalStack"):
            server.wait_until_ready(process)
    except (ServerError, ImageBuildError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    OUT.print(f"sagestack is up at {server.endpoint_url}")
    OUT.print(f"  export AWS_ENDPOINT_URL={server.endpoint_url} AWS_DEFAULT_REGION=us-east-1")
    OUT.print("  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test")
    OUT.print(f"  log: {server.log}", soft_wrap=True)


@main.command()
@port_option
@click.option("--all", "every", is_flag=True, help="End the instances of every port.")
def down(port: int, every: bool) -> None:
    """End LocalStack and everything it started."""
    for server in servers() if every else [server_on(port)]:
        if server.stop():
            OUT.print(f"sagestack on port {server.port} has ended")
        elif not every:
            OUT.print(f"sagestack is not up on port {port}")


@main.command()
@port_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(port: int, as_json: bool) -> None:
    """What runs. Exits with 1 when nothing does."""
    server = server_on(port)
    process = server.process()
    found = server.status()
    answer: dict[str, Any] = {
        "up": found is not None,
        "endpoint_url": server.endpoint_url,
        "pid": process.pid if process else None,
        "log": str(server.log),
        **(found or {}),
    }
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _print_status(answer)
    sys.exit(0 if found else 1)


@main.command()
@click.argument("kind", type=click.Choice([*GROUPS, "server"]))
@click.argument("name", default="")
@port_option
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--region", default="us-east-1", show_default=True, envvar="AWS_DEFAULT_REGION")
def logs(kind: str, name: str, port: int, follow: bool, region: str) -> None:
    """Print the log of a job, an endpoint, or the server: `logs training-job NAME`."""
    server = server_on(port)
    if kind == "server":
        click.echo(server.last_lines(count=1_000_000))
        return
    if not name:
        raise click.UsageError(f"logs {kind} needs a name")
    if server.status() is None:
        raise click.ClickException(f"sagestack does not answer at {server.endpoint_url}")
    found = False
    for line in follow_logs(server.endpoint_url, region, kind, name, follow=follow):
        found = True
        click.echo(line)
    if not found:
        raise click.ClickException(f"{kind} {name} has logged nothing in {region}")


@main.command()
@click.argument("kind", type=click.Choice(["training-job"]))
@click.argument("name")
@port_option
@click.option("--region", default="us-east-1", show_default=True, envvar="AWS_DEFAULT_REGION")
def interrupt(kind: str, name: str, port: int, region: str) -> None:
    """Take spot capacity away from a training job; it starts again from its checkpoints."""
    try:
        server_on(port).interrupt(name, region)
    except ServerError as error:
        raise click.ClickException(str(error)) from None
    OUT.print(f"{kind} {name} has lost its capacity")


@main.command()
@port_option
def doctor(port: int) -> None:
    """Say what is missing on this machine, and the fix. Exits with 1 when something is."""
    checks = diagnose(port)
    for check in checks:
        mark = {"ok": "[green]ok[/]", "warning": "[yellow]!![/]", "missing": "[red]no[/]"}
        OUT.print(f"{mark[check.state]}  {check.name}: {check.found}", soft_wrap=True)
        if check.fix:
            OUT.print(f"    {check.fix}", soft_wrap=True)
    sys.exit(1 if any(check.state == "missing" for check in checks) else 0)


@main.command()
@port_option
@click.option("--region", default="us-east-1", show_default=True, envvar="AWS_DEFAULT_REGION")
@click.option("--shell", type=click.Path(dir_okay=False, path_type=Path), help="Write to source.")
@click.option("--dotenv", type=click.Path(dir_okay=False, path_type=Path), help="Write NAME=VALUE.")
@click.option(
    "--write-config",
    is_flag=True,
    help="Write the SDK's configuration and botocore's endpoints below your home directory.",
)
def env(
    port: int, region: str, shell: Path | None, dotenv: Path | None, write_config: bool
) -> None:
    """Print what makes an unmodified SageMaker SDK program find this instance:

    eval "$(sagestack env)"
    """
    server = server_on(port)
    if server.status() is None:
        raise click.ClickException(f"sagestack does not answer at {server.endpoint_url}")
    variables = sdk_environment(server, region)
    if shell:
        shell.write_text(as_shell(variables))
    if dotenv:
        dotenv.write_text(as_dotenv(variables))
    if write_config:
        try:
            for path in write_user_config(server, variables, Path.home()):
                ERROR.print(f"wrote {path}", soft_wrap=True)
        except FileExistsError as error:
            raise click.ClickException(f"{error.args[0]} is there and not sagestack's") from None
    if not (shell or dotenv):
        click.echo(as_shell(variables), nl=False)


@main.command()
@click.argument("names", nargs=-1)
def build(names: tuple[str, ...]) -> None:
    """Build the locked environments ahead of their first use: all, or those named."""
    known = {image.name: image for image in (LOCALSTACK, *BUILT_IN)}
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no image {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        try:
            _build(known[name])
        except ImageBuildError as error:
            raise click.ClickException(f"{name}: {error}") from None


def _build(image: Image) -> None:
    images = Images(environments_directory())
    if images.built(image):
        return
    begun = time.monotonic()
    with OUT.status(f"building the environment of {image.name} (first use only)"):
        images.environment(image)
    OUT.print(f"built the environment of {image.name} in {time.monotonic() - begun:.0f} s")


def _stay(server: Server, process: Any) -> None:
    """Follow the server's log until it ends or is interrupted."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        with server.log.open(errors="replace") as log:
            while True:
                if line := log.readline():
                    click.echo(line, nl=False)
                elif process.poll() is not None:
                    sys.exit(process.returncode)
                else:
                    time.sleep(0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def _print_status(answer: dict[str, Any]) -> None:
    if not answer["up"]:
        OUT.print(f"sagestack does not answer at {answer['endpoint_url']}")
        return
    table = Table("kind", "status", "number", title=f"sagestack at {answer['endpoint_url']}")
    for kind, statuses in answer["records"].items():
        for name, number in sorted(statuses.items()):
            table.add_row(kind, name, str(number))
    OUT.print(table)
    built = ", ".join(i["name"] for i in answer["images"] if i["built"]) or "none yet"
    OUT.print(f"process {answer['pid']}, images built: {built}")
    OUT.print(f"log: {answer['log']}", soft_wrap=True)
