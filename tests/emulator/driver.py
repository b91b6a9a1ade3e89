"""Runs one program in a sandbox and says how it went: for tests as another user.

stdin: {"directory", "script", "settings", "stop_at": a line to stop the program at, "grace",
"join": whether to have the isolated network of another process, "regain": whether to take back
what the program has closed}
stdout: {"sandbox": whether there is one, "code", "cause", "lines", "fault"}
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from sagestack.engine import namespaces
from sagestack.engine.container import SandboxError
from sagestack.engine.workspace import regain
from tests.emulator.programs import Program
from tests.waiting import wait_until


def main() -> None:
    order = json.load(sys.stdin)
    program = Program(Path(order["directory"]) / "job" / "ml", order["script"])
    if line := order.get("stop_at"):
        threading.Thread(target=stop, args=(program, line)).start()
    answer: dict[str, object] = {"sandbox": namespaces.can_be_made()}
    settings = order.get("settings", {})
    try:
        with namespaces.held(isolate_network=True) as holder:
            if order.get("join"):
                settings |= {"isolate_network": True, "network_of": holder}
                answer["network"] = os.readlink(f"/proc/{holder}/ns/net")
            ended = program.run(grace=order.get("grace", 30), **settings)
        answer |= {"code": ended.code, "cause": ended.cause.value, "fault": ""}
    except SandboxError as error:
        answer["fault"] = str(error)
    if order.get("regain"):
        regain(program.directory.parent)
    print(json.dumps(answer | {"lines": program.lines}))


def stop(program: Program, line: str) -> None:
    wait_until(lambda: line in program.lines)
    program.control.stop()


if __name__ == "__main__":
    main()
