"""What the encoders and scripts raise."""

from __future__ import annotations

from sagestack_modules import ours  # type: ignore[import-not-found]

UnsupportedFormatError = ours("model_server.codecs").UnsupportedFormat


class ClientError(Exception):
    """The script's own fault."""
