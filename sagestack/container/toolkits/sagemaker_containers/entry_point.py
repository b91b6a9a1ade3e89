"""Part of AWS's example of XGBoost on several hosts."""

from __future__ import annotations

import socket

from .beta.framework.env import TrainingEnv


def _wait_hostname_resolution() -> None:
    """Raises OSError. The names of a job's hosts resolve from its start."""
    for host in TrainingEnv().hosts:
        socket.gethostbyname(host)
