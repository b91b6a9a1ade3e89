"""Physical names for resources whose template gives none."""

from __future__ import annotations

import secrets
import string

SUFFIX = 12
LONGEST_LOGICAL_ID = 24


def physical_name(stack: str, logical_id: str, longest: int) -> str:
    """`<stack>-<logical id>-<random suffix>`, cut so that the suffix stays whole."""
    suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SUFFIX))
    logical_id = logical_id[:LONGEST_LOGICAL_ID]
    stack = stack[: longest - len(logical_id) - SUFFIX - 2].rstrip("-")
    return f"{stack}-{logical_id}-{suffix}"
