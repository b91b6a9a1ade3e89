"""Several hosts that train one model."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from sagestack_modules import ours  # type: ignore[import-not-found]

_hosts = ours("xgboost_algorithm.hosts")
LOG = logging.getLogger(__name__)


def wait_hostname_resolution(sm_hosts: list[str]) -> None:
    for host in sm_hosts:
        _hosts.resolve(host)


def rabit_run(
    exec_fun: Callable[..., Any],
    args: dict[str, Any],
    include_in_training: bool,
    hosts: list[str],
    current_host: str,
    first_port: int | None = None,
    second_port: int | None = None,
    max_connect_attempts: int | None = None,
    connect_retry_timeout: int = 10,
    update_rabit_args: bool = False,
) -> None:
    """Call `exec_fun` with `args` where all hosts that have data call it; with
    `update_rabit_args` it is told whether it `is_master`. Ports and patience are ours.

    A host without data ends here. Raises RuntimeError where no host has any.
    """
    try:
        with _hosts.together(hosts, current_host, include_in_training) as place:
            if place is None:
                LOG.warning("Host %s not being used for distributed training.", current_host)
                sys.exit(0)
            if update_rabit_args:
                args.update(is_master=place.master)
            exec_fun(**args)
    except _hosts.NoData as error:
        raise RuntimeError(str(error)) from error
