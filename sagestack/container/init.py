"""init: the first process of a container. Makes the sandbox, starts the program, ends all.

Started by engine/container.py with a plan as the first line of stdin; each later line is a
command: `terminate` or `kill`. The end of stdin means that the server died, and kills too.
With --hold it starts no program: it makes namespaces and keeps them (engine/namespaces.py).

    server ── outer (this file) ── inner: pid 1 of the sandbox ── program ── its children

sandbox.py says what the program sees. When pid 1 ends the kernel ends every process in the
sandbox. Exit codes are Docker's: 128 + n for signal n, 125 for a fault of ours.

Where the kernel gives no namespaces the program runs without a root of its own: it gets
SAGEMAKER_BASE_DIR, and paths below /opt/ml in its command and variables are rewritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import warnings  # noqa: F401  os.execvpe imports it, when our library is out of sight
from collections.abc import Callable
from typing import Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from sandbox import drop_rights, libc, make_root, unshare  # type: ignore[import-not-found]

del sys.path[0]

Plan = dict[str, Any]

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
FAULT = 125


def main(execute: Callable[[Plan], NoReturn] | None = None, report: int | None = None) -> NoReturn:
    """Carry out the plan on stdin. `execute` becomes the program; `report` is a descriptor
    that is told the exit code, one byte, when nothing runs any more."""
    plan, commands = read_plan()
    holds = sys.argv[1:] == ["--hold"]
    try:
        unshare(isolate_network=plan["isolate_network"], network_of=plan["network_of"])
        sandboxed = True
    except OSError as error:
        if plan["isolate_network"] and not holds:
            end_by_fault(plan, f"network isolation needs Linux namespaces: {error}", report)
        sandboxed = False
    if holds:
        hold(commands, sandboxed)
    # A signal waits until there is someone to handle it: pid 1 loses what it does not handle.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if not sandboxed:
        # Orphans of the program become our children, so that we can end them.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    inner = os.fork()
    if inner == 0:
        os.close(commands.descriptor)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        run_inner(plan, sandboxed, execute or execute_command, report)
    let_go_of_output()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    end(supervise(inner, commands, sandboxed), report)


def hold(commands: Commands, sandboxed: bool) -> NoReturn:
    """Tell whether there are namespaces, and keep them for others to join."""
    os.write(1, b"held\n" if sandboxed else b"none\n")
    while not commands.lines:
        commands.read()
    os._exit(0)


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
            obey(commands.lines.pop(0), inner)
        ready, _, _ = select.select([ended, commands.descriptor], [], [])
        if ended in ready:
            _, status = os.waitpid(inner, 0)
            if not sandboxed:
                end_descendants()
            return exit_code(status)
        commands.read()


def obey(command: bytes, inner: int) -> None:
    if command == b"terminate":
        os.kill(inner, signal.SIGTERM)
    elif command == b"kill":
        os.kill(inner, signal.SIGKILL)


def run_inner(
    plan: Plan, sandboxed: bool, execute: Callable[[Plan], NoReturn], report: int | None
) -> NoReturn:
    """Start the program and reap until it ends. As pid 1 of a sandbox, our end is its end."""
    program = 0
    stopping = False

    def terminate(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program may send us one
    try:
        if sandboxed:
            make_root(plan)
        else:
            without_root(plan)
        program = start_program(plan, execute, report)
    except OSError as error:
        end_by_fault(plan, f"the sandbox could not be made: {error}")
    let_go_of_output()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = None
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            code = exit_code(status)
        # A shell that dies of SIGTERM leaves its children their time to end by themselves;
        # without a stop they end with the program.
        if code is not None and not (stopping and group_lives(program)):
            # A fork of a large process takes milliseconds to end. Nobody need wait for that.
            end(code, report if sandboxed and is_alone() else None)


def let_go_of_output() -> None:
    """The end of the program's output is then the end of the program and its children."""
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def is_alone() -> bool:
    """Whether pid 1, which asks, is the only process of the sandbox."""
    return [name for name in os.listdir("/proc") if name.isdigit()] == ["1"]


def group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def start_program(plan: Plan, execute: Callable[[Plan], NoReturn], report: int | None) -> int:
    """Fork; the child leads a process group of its own before this returns its pid."""
    ready, go = os.pipe()
    program = os.fork()
    if program == 0:
        os.close(ready)
        if report is not None:
            os.close(report)
        prepare(plan)
        os.close(go)
        execute(plan)
    os.close(go)
    os.read(ready, 1)
    os.close(ready)
    return program


def prepare(plan: Plan) -> None:
    """What the program inherits: a session of its own, no stdin, no way to more rights, and
    the limits of its instance type."""
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    drop_rights()
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for signal_number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signal_number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for a fork; exec forgets it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    limit(plan["cores"], plan["memory"])


def limit(cores: int, memory: int) -> None:
    """No more cores and no more private memory than so many; 0 is as many as there are."""
    there = sorted(os.sched_getaffinity(0))
    if 0 < cores < len(there):
        first = int.from_bytes(os.urandom(2)) % len(there)  # jobs do not all take the same
        os.sched_setaffinity(0, {there[(first + i) % len(there)] for i in range(cores)})
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def execute_command(plan: Plan) -> NoReturn:
    command, variables = plan["command"], plan["variables"]
    try:
        os.chdir(plan["working_directory"])
        os.execvpe(command[0], command, variables)
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        fail(f"exec {command[0]!r}: {error.strerror}", code)


def without_root(plan: Plan) -> None:
    """No namespaces: lead the program to its directory by rewriting what it is given."""
    directory = plan["directory"]
    # What the program's children leave becomes ours, as it does with pid 1.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)

    def rewrite(text: str) -> str:
        for inside, outside in {"/opt/ml": directory, **plan["folders"]}.items():
            text = text.replace(inside, outside)
        return text

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


def exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def fail(message: str, code: int) -> NoReturn:
    print(f"sagestack: {message}", file=sys.stderr, flush=True)
    os._exit(code)


def end_by_fault(plan: Plan, message: str, report: int | None = None) -> NoReturn:
    """End by what is no fault of the program's. A file beside its directory says which."""
    with contextlib.suppress(OSError), open(f"{plan['directory']}.fault", "w") as file:
        file.write(message)
    print(f"sagestack: {message}", file=sys.stderr, flush=True)
    end(FAULT, report)


def end(code: int, report: int | None) -> NoReturn:
    if report is not None:
        with contextlib.suppress(BrokenPipeError):  # it has been told
            os.write(report, bytes([code]))
    os._exit(code)


if __name__ == "__main__":
    main()
