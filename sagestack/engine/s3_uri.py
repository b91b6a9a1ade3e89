"""S3 URIs."""

from __future__ import annotations

import re

_VIRTUAL_HOST = re.compile(r"https://([^/]+?)\.s3[.-][^/]*/(.*)", re.DOTALL)
_PATH_STYLE = re.compile(r"https://s3[.-][^/]*/([^/]+)/?(.*)", re.DOTALL)


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` -> `("bucket", "some/key")`; the URLs
    `https://bucket.s3-region…/key` and `https://s3.region…/bucket/key` too.

    Raises ValueError.
    """
    if match := _VIRTUAL_HOST.fullmatch(uri) or _PATH_STYLE.fullmatch(uri):
        return match[1], match[2]
    if not uri.startswith("s3://"):
        raise ValueError(f"{uri!r} is not an S3 URI")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError(f"{uri!r} names no bucket")
    return bucket, key


def join_s3_uri(prefix: str, *parts: str) -> str:
    """`s3://b/p` or `s3://b/p/`, `x`, `y` -> `s3://b/p/x/y`."""
    return "/".join([prefix.rstrip("/"), *parts])
