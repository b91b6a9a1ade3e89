"""The Glue service that operations are bound to, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Response, Service
from sagestack.aws.store import Page, Query, Store
from sagestack.glue.errors import InvalidInputException

glue = Service("glue")


def refuse(operation: str, request: Mapping[str, Any], *members: str) -> None:
    """Raise InvalidInputException if the request has a member that would change what the
    operation does, and that is not emulated."""
    for member in members:
        if request.get(member):
            raise InvalidInputException(
                f"sagestack does not run {operation} with {member}. Nothing was changed."
            )


def page(store: Store, query: Query) -> Page:
    """`store.list`, with Glue's error for a token that is not one. An empty one begins at the
    first page, as clients that loop with `next_token = ""` expect."""
    try:
        return store.list(replace(query, token=query.token or None))
    except ValidationException as error:
        raise InvalidInputException(error.message) from None


def paged(member: str, items: list[Any], token: str | None) -> Response:
    """A list response: the items, and a token where there is more."""
    answer: Response = {member: items}
    if token:
        answer["NextToken"] = token
    return answer
