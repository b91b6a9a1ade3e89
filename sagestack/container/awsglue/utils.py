"""getResolvedOptions: the arguments of a Glue job.

Source: the Glue developer guide, "Accessing parameters using getResolvedOptions".
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

RESERVED: dict[str, str | None] = {
    "job-bookmark-option": "job-bookmark-disable",
    "job-bookmark-from": None,
    "job-bookmark-to": None,
    "JOB_ID": None,
    "JOB_RUN_ID": None,
    "SECURITY_CONFIGURATION": None,
    "encryption-type": None,
    "TempDir": None,
}
"""Options that Glue gives to a job, and their values where it gives none. They are resolved
whether they are asked for or not."""


class GlueArgumentError(Exception):
    """An option that was asked for is missing, or has no value."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise GlueArgumentError(message)


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, str | None]:
    """The values of `options` in `args`, which is sys.argv: `--key value` or `--key=value`.

    Each option is required. Its key in the answer is its name, with underscores for hyphens.
    Arguments that were not asked for are passed over. Raises GlueArgumentError.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in dict.fromkeys(options):
        parser.add_argument(f"--{name}", required=True)
    for name, default in RESERVED.items():
        if name not in options and name.replace("-", "_") not in options:
            parser.add_argument(f"--{name}", default=default)
    resolved, _ = parser.parse_known_args(list(args[1:]))
    return vars(resolved)
