"""Plugs into LocalStack's CloudFormation when the first call for it comes.

Until then none of it is loaded: it would cost every start more than half a second.
"""

from __future__ import annotations

import threading
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.handlers import serve_custom_service_request_handlers
from localstack.runtime import hooks

_lock = threading.Lock()
_plugged_in = False


@hooks.on_infra_start()  # type: ignore[untyped-decorator]
def sagestack_cloudformation() -> None:
    serve_custom_service_request_handlers.append(_on_request)


def _on_request(_chain: Any, context: RequestContext, _response: Any) -> None:
    global _plugged_in
    if context.service is None or context.service.service_name != "cloudformation":
        return
    from sagestack.localstack import stacks

    with _lock:
        if not _plugged_in:
            stacks.plug_in()
            _plugged_in = True
    stacks.remember_request(context.service_request or {})
