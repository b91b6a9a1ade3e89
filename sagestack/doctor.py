"""What a machine needs to run sagestack, looked at one by one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sagestack.engine import namespaces
from sagestack.engine.fast_file import why_unavailable
from sagestack.engine.images import BUILT_IN, Images
from sagestack.paths import environments_directory, home
from sagestack.server import LOCALSTACK, server_on

NEEDED_GIGABYTES = 3


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "warning", "missing"]
    found: str
    fix: str = ""


def diagnose(port: int) -> list[Check]:
    return [
        _python(),
        _system(),
        _sandbox(),
        _fast_file(),
        _disk(),
        *_environments(),
        _port(port),
        _node(),
    ]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", "ok", version)


def _system() -> Check:
    if sys.platform == "linux":
        return Check("system", "ok", "Linux")
    return Check(
        "system", "missing", sys.platform, "jobs run in Linux namespaces: use Linux, WSL 2 or a VM"
    )


def _sandbox() -> Check:
    if namespaces.can_be_made():
        return Check("sandbox", "ok", "namespaces are allowed, so /opt/ml is each job's own")
    fixes = {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/user/max_user_namespaces": "0",
    }
    for path, forbidding in fixes.items():
        if Path(path).exists() and Path(path).read_text().strip() == forbidding:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            value = {"1": "0", "0": "1"}[forbidding] if "max" not in path else "15000"
            fix = f"allow them with: sudo sysctl -w {name}={value}"
            break
    else:
        fix = "run as root, or in a container with --cap-add SYS_ADMIN"
    return Check(
        "sandbox",
        "warning",
        "this machine refuses namespaces; jobs run, but with SAGEMAKER_BASE_DIR for /opt/ml",
        fix,
    )


def _fast_file() -> Check:
    reason = why_unavailable()
    if reason is None:
        return Check("FastFile", "ok", "FUSE can be mounted")
    return Check("FastFile", "warning", f"jobs with this input mode are refused: {reason}")


def _disk() -> Check:
    directory = home()
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free / 1024**3
    if free >= NEEDED_GIGABYTES:
        return Check("disk", "ok", f"{free:.0f} GiB free at {home()}")
    return Check(
        "disk",
        "missing",
        f"{free:.1f} GiB free at {home()}",
        f"make {NEEDED_GIGABYTES} GiB free, or set SAGESTACK_HOME to a directory elsewhere",
    )


def _environments() -> list[Check]:
    images = Images(environments_directory())
    return [
        Check(f"environment {image.name}", "ok", "built")
        if images.built(image)
        else Check(
            f"environment {image.name}",
            "warning",
            "not built yet; it will be on first use",
            f"build it now with: sagestack build {image.name}",
        )
        for image in (LOCALSTACK, *BUILT_IN)
    ]


def _port(port: int) -> Check:
    server = server_on(port)
    if server.process() is not None:
        return Check(f"port {port}", "ok", f"sagestack is up at {server.endpoint_url}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Check(
                f"port {port}",
                "missing",
                f"can't be listened on: {error.strerror}",
                "end what uses it, or choose another with --port",
            )
    return Check(f"port {port}", "ok", "free")


def _node() -> Check:
    node = Path(sys.executable).parent / "node"
    found = str(node) if node.exists() else shutil.which("node")
    if found is None:
        return Check("Node.js", "warning", "not found; only `cdk` needs it", "make setup brings it")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return Check("Node.js", "ok", version.stdout.strip())
