"""LocalStack as a job's environment, past the gateway where that is sure to come to the same.

An event costs the server five milliseconds, and a job has half a dozen. On a bus without a
rule nobody hears of it, so there it is not sent. That the rules can be seen is LocalStack's
private business: where they can't, the event is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from localstack.services.events.models import events_stores
from localstack.services.plugins import SERVICE_PLUGINS

from sagestack.localstack.s3 import StorageSession

LOG = logging.getLogger(__name__)


class LocalStackSession(StorageSession):
    def put_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        if self._has_rules():
            super().put_event(source, detail_type, detail, resources)

    def _has_rules(self) -> bool:
        """Whether the default bus has a rule, those of archives among them."""
        if not SERVICE_PLUGINS.is_running("events"):
            return False
        try:
            provider = SERVICE_PLUGINS.get_service("events")._provider
            if not hasattr(provider, "_rule_services_store"):
                return True  # another provider, with rules elsewhere
            bus = events_stores[self.account][self.region].event_buses.get("default")
            return bus is not None and bool(bus.rules)
        except Exception:
            LOG.debug("LocalStack's rules are not as they are known", exc_info=True)
            return True
