"""The model servers of an instance."""

from __future__ import annotations


class Servers:
    def close(self) -> None:
        """End all of them."""
