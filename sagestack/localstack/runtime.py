"""The instance inside a LocalStack process: made on first use, ended with the process.

Hooks run when LocalStack starts, is ready and shuts down. Records lie in LocalStack's own
data directory, which it empties at a start unless PERSISTENCE=1.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import threading
from pathlib import Path

from localstack import config
from localstack.runtime import get_current_runtime, hooks
from localstack.runtime.server import twisted as twisted_server
from localstack.services.s3 import provider as s3_provider
from twisted.internet import endpoints as twisted_endpoints

from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost
from sagestack.context import Instance
from sagestack.engine import namespaces
from sagestack.engine.container import leave
from sagestack.engine.executor import Executor
from sagestack.engine.images import Images, added_images
from sagestack.localstack.iam import mend_policy_simulation
from sagestack.localstack.routes import serve_routes
from sagestack.localstack.session import LocalStackSession
from sagestack.paths import environments_directory
from sagestack.services import recover

LOG = logging.getLogger(__name__)

_lock = threading.Lock()
_instance: Instance | None = None


def instance() -> Instance:
    """The one instance of this process."""
    global _instance
    with _lock:
        if _instance is None:
            _instance = _open()
        return _instance


def _open() -> Instance:
    port = config.GATEWAY_LISTEN[0].port
    directory = Path(config.dirs.data) / "sagestack" / str(port)
    if not config.PERSISTENCE:
        shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(directory / "jobs", ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    slots = int(os.environ.get("SAGESTACK_JOBS") or max(2, os.cpu_count() or 2))
    return Instance(
        directory=directory,
        store=Store(directory / "records.sqlite"),
        host=BotoHost(_own_endpoint(), LocalStackSession),
        images=Images(
            environments_directory(),
            added_images(os.environ.get("SAGESTACK_IMAGES", "")),
            warm=os.environ.get("SAGESTACK_WARM", "1") != "0" and namespaces.can_be_made(),
        ),
        executor=Executor(slots),
    )


def _own_endpoint() -> str:
    """How this process and its jobs reach LocalStack: where it listens."""
    listen = config.GATEWAY_LISTEN[0]
    host = "127.0.0.1" if listen.host in ("0.0.0.0", "::", "") else listen.host
    return f"http://{host}:{listen.port}"


@hooks.on_infra_start()  # type: ignore[untyped-decorator]
def sagestack_start() -> None:
    """Before the gateway listens."""
    atexit.register(_end_process)
    _listen_where_told()
    _keep_objects_apart()
    mend_policy_simulation()
    if seconds := float(os.environ.get("SAGESTACK_HOLD_STACKS") or 0):
        from sagestack.localstack.hold import hold_stacks  # CloudFormation, only where asked for

        hold_stacks(seconds)


@hooks.on_infra_ready()  # type: ignore[untyped-decorator]
def sagestack_ready() -> None:
    """The other services answer: end what a dead server left running, serve again."""
    recover(instance())
    serve_routes(instance())


@hooks.on_infra_shutdown()  # type: ignore[untyped-decorator]
def sagestack_stop() -> None:
    if _instance is not None:
        _instance.executor.leave()
        _instance.coordinators.leave()
        leave()
        _instance.servers.close()
        _instance.images.close()
        _instance.events.close(timeout=1)


def _end_process() -> None:
    """All is done when this is called, the first handler of the exit and so the last to run.
    To take LocalStack's objects apart one by one costs the interpreter further seconds."""
    runtime = get_current_runtime()
    if runtime.stopped.is_set():
        logging.shutdown()
        sys.stdout.flush()
        os._exit(runtime.exit_code)


def _keep_objects_apart() -> None:
    """LocalStack 4.14 keeps the objects of S3 in one directory of the machine's, for every
    instance and every user. Give this instance one of its own, before S3 is asked for."""
    s3_provider.DEFAULT_S3_TMP_DIR = str(Path(config.dirs.tmp) / "s3-storage")


def _listen_where_told() -> None:
    """LocalStack 4.14's IPv4 endpoint ignores the host of GATEWAY_LISTEN and listens on every
    interface. Give the endpoint the host it was told."""
    hosts = {
        listen.port: listen.host
        for listen in config.GATEWAY_LISTEN
        if not config.is_ipv6_address(listen.host)
    }

    def endpoint(reactor: object, port: int) -> object:
        return twisted_endpoints.TCP4ServerEndpoint(
            reactor, port, interface=hosts.get(port, "127.0.0.1")
        )

    class Endpoints:
        TCP4ServerEndpoint = staticmethod(endpoint)
        TCP6ServerEndpoint = twisted_endpoints.TCP6ServerEndpoint

    twisted_server.endpoints = Endpoints
