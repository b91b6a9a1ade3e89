"""init: the first process of a container. Makes the sandbox, starts the program, ends all.

Started by engine/container.py with a plan as the first line of stdin; each later line is a
command: `terminate` or `kill`. The end of stdin means that the server died, and kills too.

    server ── outer (this file) ── inner: pid 1 of the sandbox ── program ── its children

The program sees a root of its own: the system's directories read-only, its image, its own
/opt/ml, /tmp and home, and nothing else of the machine. When pid 1 ends the kernel ends
every process in the sandbox. Exit codes are Docker's: 128 + n for signal n.

Where the kernel gives no namespaces the program runs without a root of its own: it gets
SAGEMAKER_BASE_DIR, and paths below /opt/ml in its command and variables are rewritten.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import warnings  # noqa: F401  os.execvpe imports it, when our library is out of sight
from collections.abc import Callable
from typing import Any, NoReturn

Plan = dict[str, Any]

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
SYSTEM = ("bin", "sbin", "usr", "lib", "lib32", "lib64", "libx32", "etc", "nix", "sys")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Docker's defaults less NET_RAW and MKNOD: chown, dac_override, fowner, fsetid, kill, setgid,
# setuid, setpcap, net_bind_service, sys_chroot, audit_write, setfcap.
KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31}

libc = ctypes.CDLL(None, use_errno=True)


def main(
    execute: Callable[[Plan], NoReturn] | None = None,
    report: Callable[[int], None] = lambda code: None,
) -> NoReturn:
    """Carry out the plan on stdin. `execute` becomes the program, `report` hears the exit
    code before we end with it."""
    plan, commands = read_plan()
    try:
        unshare(isolate_network=plan["isolate_network"])
        sandboxed = True
    except OSError as error:
        if plan["isolate_network"]:
            fail(f"network isolation needs Linux namespaces, and they are refused: {error}")
        sandboxed = False
    if sys.argv[1:] == ["--probe"]:
        os._exit(0 if sandboxed else 1)
    if not sandboxed:
        # Orphans of the program become our children, so that we can end them.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    inner = os.fork()
    if inner == 0:
        os.close(commands.descriptor)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        run_inner(plan, sandboxed, execute or execute_command)
    code = supervise(inner, commands, sandboxed)
    report(code)
    os._exit(code)


class Commands:
    """Lines from the server, on a descriptor the program does not inherit."""

    def __init__(self) -> None:
        self.descriptor = os.dup(0)
        os.set_inheritable(self.descriptor, False)
        self.lines: list[bytes] = []
        self._rest = b""

    def read(self) -> None:
        """Wait for more. The end of the stream is a `kill`: the server is gone."""
        chunk = os.read(self.descriptor, 65536)
        if not chunk:
            self.lines.append(b"kill")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self.lines += lines


def read_plan() -> tuple[Plan, Commands]:
    commands = Commands()
    while not commands.lines:
        commands.read()
    line = commands.lines.pop(0)
    if line == b"kill":
        os._exit(137)
    return json.loads(line), commands


def supervise(inner: int, commands: Commands, sandboxed: bool) -> int:
    """Carry out the server's commands until the sandbox ends; its exit code."""
    ended = os.pidfd_open(inner)
    while True:
        while commands.lines:
            obey(commands.lines.pop(0), inner, sandboxed)
        ready, _, _ = select.select([ended, commands.descriptor], [], [])
        if ended in ready:
            _, status = os.waitpid(inner, 0)
            if not sandboxed:
                end_descendants()
            return exit_code(status)
        commands.read()


def obey(command: bytes, inner: int, sandboxed: bool) -> None:
    if command == b"terminate":
        os.kill(inner, signal.SIGTERM)
    elif command == b"kill":
        os.kill(inner, signal.SIGKILL)
        if not sandboxed:
            end_descendants()


def run_inner(plan: Plan, sandboxed: bool, execute: Callable[[Plan], NoReturn]) -> NoReturn:
    """Start the program and reap until it ends. As pid 1 of a sandbox, our end is its end."""
    program = 0
    stopping = False

    def terminate(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if program:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program, signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminate)
    try:
        if sandboxed:
            make_root(plan)
        else:
            without_root(plan)
        if stopping:
            os._exit(128 + signal.SIGTERM)
        program = start_program(plan, execute)
    except OSError as error:
        fail(f"the sandbox could not be made: {error}")
    if stopping:
        terminate(signal.SIGTERM, None)  # asked for while the program was being started
    code = 0
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            os._exit(code)
        if pid == program:
            code = exit_code(status)
            # A shell that dies of SIGTERM leaves its children their time to end by
            # themselves; without a stop they end with the program.
            if not stopping:
                os._exit(code)


def start_program(plan: Plan, execute: Callable[[Plan], NoReturn]) -> int:
    """Fork; the child leads a process group of its own before this returns its pid."""
    ready, go = os.pipe()
    program = os.fork()
    if program == 0:
        os.close(ready)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        prepare()
        os.close(go)
        execute(plan)
    os.close(go)
    os.read(ready, 1)
    os.close(ready)
    return program


def prepare() -> None:
    """What the program inherits: a session of its own, no stdin, no way to more rights."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for signal_number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signal_number, signal.SIG_DFL)


def execute_command(plan: Plan) -> NoReturn:
    command, variables = plan["command"], plan["variables"]
    try:
        os.chdir(plan["working_directory"])
        os.execvpe(command[0], command, variables)
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        fail(f"exec {command[0]!r}: {error.strerror}", code)


def unshare(*, isolate_network: bool) -> None:
    """Namespaces of our own: by root's right, or else by those of a new user namespace."""
    flags = os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC | os.CLONE_NEWUTS
    if isolate_network:
        flags |= os.CLONE_NEWNET
    try:
        os.unshare(flags)
    except PermissionError:
        uid, gid = os.getuid(), os.getgid()
        os.unshare(flags | os.CLONE_NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")
    if isolate_network:
        raise_loopback()


def make_root(plan: Plan) -> None:
    """Build the program's root in a tmpfs and make it ours."""
    directory = plan["directory"]
    root = f"{directory}.rootfs"
    os.makedirs(root, exist_ok=True)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755")
    for name in SYSTEM:
        bring_system_directory(root, name)
    make_devices(root)
    for name in ("proc", "var/tmp", "run", "home", "opt"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    for name, outside in (("tmp", f"{directory}.tmp"), ("root", f"{directory}.home")):
        os.makedirs(outside, exist_ok=True)
        os.makedirs(f"{root}/{name}", exist_ok=True)
        bind(outside, f"{root}/{name}")
    if os.path.isdir("/run/systemd/resolve"):
        show(root, "/run/systemd/resolve")  # where /etc/resolv.conf may lead
    for path in plan["visible"]:
        show(root, path)
    os.makedirs(f"{root}/opt/ml", exist_ok=True)
    bind(directory, f"{root}/opt/ml")
    if plan["read_only_model"]:
        bind(f"{directory}/model", f"{root}/opt/ml/model", read_only=True)
    name_hosts(root, directory, plan["host_names"])
    try:
        mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    except PermissionError:
        bind("/proc", f"{root}/proc")  # inside a container whose own /proc is masked
    enter(root)
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def bring_system_directory(root: str, name: str) -> None:
    source, target = f"/{name}", f"{root}/{name}"
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target)
        bind(source, target, read_only=True)


def make_devices(root: str) -> None:
    os.makedirs(f"{root}/dev/shm")
    for name in [*DEVICES, *(n for n in os.listdir("/dev") if n.startswith("nvidia"))]:
        if os.path.exists(f"/dev/{name}") and not os.path.isdir(f"/dev/{name}"):
            os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY))
            bind(f"/dev/{name}", f"{root}/dev/{name}")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")


def show(root: str, path: str) -> None:
    """Make a file or directory visible at its own path, read-only."""
    target = root + path
    if path == "/" or path.split("/")[1] in SYSTEM:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        if not os.path.lexists(target):
            os.symlink(os.readlink(path), target)
    elif os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
        bind(path, target, read_only=True)
    elif not os.path.exists(target):  # else it lies in a directory that is shown already
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        bind(path, target, read_only=True)


def name_hosts(root: str, directory: str, names: list[str]) -> None:
    """An /etc/hosts in which this machine has the job's host names."""
    if not names:
        return
    socket.sethostname(names[0])
    hosts = f"{directory}.hosts"
    write(hosts, f"127.0.0.1 localhost {' '.join(names)}\n::1 localhost\n")
    if os.path.exists(f"{root}/etc/hosts"):
        bind(hosts, f"{root}/etc/hosts", read_only=True)


def enter(root: str) -> None:
    os.chdir(root)
    if libc.pivot_root(b".", b".") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root", root)
    # The old root is stacked on the new one; take it away.
    libc.umount2(b".", MNT_DETACH)
    os.chdir("/")


def without_root(plan: Plan) -> None:
    """No namespaces: lead the program to its directory by rewriting what it is given."""
    directory = plan["directory"]

    def rewrite(text: str) -> str:
        return text.replace("/opt/ml", directory)

    plan["command"] = [rewrite(argument) for argument in plan["command"]]
    plan["variables"] = {key: rewrite(value) for key, value in plan["variables"].items()}
    plan["variables"] |= {"SAGEMAKER_BASE_DIR": directory, "HOME": f"{directory}.home"}
    os.makedirs(f"{directory}.home", exist_ok=True)
    plan["working_directory"] = rewrite(plan["working_directory"])
    print(
        "sagestack: this machine refuses namespaces, so /opt/ml is not there; "
        "SAGEMAKER_BASE_DIR holds its place. 'sagestack doctor' tells how to allow them",
        file=sys.stderr,
        flush=True,
    )


def end_descendants() -> None:
    """Kill what the program left behind, by way of being its subreaper."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            children = [int(pid) for pid in file.read().split()]
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        # A user namespace may not clear the flags a mount came with, so they are kept.
        flags = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | 8)
        with contextlib.suppress(PermissionError):
            mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    done = libc.mount(
        encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), encoded(data)
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", target)


def raise_loopback() -> None:
    """Bring up `lo` in a network namespace of our own; there is no other interface."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        set_flags, up = 0x8914, 1
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", up))


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def fail(message: str, code: int = 125) -> NoReturn:
    print(f"sagestack: {message}", file=sys.stderr, flush=True)
    os._exit(code)


if __name__ == "__main__":
    main()
