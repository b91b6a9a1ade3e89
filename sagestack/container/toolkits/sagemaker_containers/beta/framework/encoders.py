"""Arrays to and from the bodies of requests, as the model server's defaults do it."""

from __future__ import annotations

from sagestack_modules import ours  # type: ignore[import-not-found]

_codecs = ours("model_server.codecs")
decode, encode = _codecs.decode, _codecs.encode
