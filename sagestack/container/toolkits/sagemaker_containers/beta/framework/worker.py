"""The response an `output_fn` may return in place of a body."""

from __future__ import annotations

from collections.abc import Mapping


class Response:
    """A body with its content type and status, as Flask's tells them."""

    def __init__(
        self,
        response: str | bytes | None = None,
        accept: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        mimetype: str | None = None,
    ) -> None:
        self.response = response
        self.status_code = status
        self.headers = dict(headers or {})
        self.mimetype = mimetype or accept

    def get_data(self) -> bytes:
        body = self.response or b""
        return body.encode() if isinstance(body, str) else body
