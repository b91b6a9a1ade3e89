"""What SageMaker's List operations share: filters, order, pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.registry import Request
from sagestack.aws.store import Page, Query
from sagestack.context import Context

DEFAULT_PAGE = 10
"""Records on a page when MaxResults is not given."""


def page(
    context: Context,
    kind: str,
    request: Request,
    *,
    default_order: str,
    default_sort: str = "CreationTime",
    conditions: Sequence[tuple[str, Any]] = (),
) -> Page:
    """The page that a List request asks for.

    Reads NameContains, StatusEquals, the four time filters, SortBy, SortOrder, MaxResults
    and NextToken; the orders' defaults differ by operation (botocore's documentation).
    `conditions` are further ones, in SQL, each with its value.
    """
    query = Query(
        kind,
        context.caller,
        sort_by=request.get("SortBy", default_sort),
        descending=request.get("SortOrder", default_order) == "Descending",
        limit=int(request.get("MaxResults", DEFAULT_PAGE)),
        token=request.get("NextToken"),
    )
    if part := request.get("NameContains"):
        query = query.where("instr(lower(name), lower(?)) > 0", part)
    if status := request.get("StatusEquals"):
        query = query.where("status = ?", status)
    for member, condition in (
        ("CreationTimeAfter", "created > ?"),
        ("CreationTimeBefore", "created < ?"),
        ("LastModifiedTimeAfter", "modified > ?"),
        ("LastModifiedTimeBefore", "modified < ?"),
    ):
        if member in request:
            query = query.where(condition, seconds(request[member]))
    for condition, value in conditions:
        query = query.where(condition, value)
    return context.store.list(query)


def response(member: str, summaries: list[dict[str, Any]], found: Page) -> dict[str, Any]:
    """A List response: the summaries, and a token where there is more."""
    answer: dict[str, Any] = {member: summaries}
    if found.token:
        answer["NextToken"] = found.token
    return answer


def pick(document: dict[str, Any], *members: str) -> dict[str, Any]:
    """Those of the members that the document has."""
    return {member: document[member] for member in members if member in document}


def seconds(time: datetime | float) -> float:
    """Seconds since the epoch. A naive datetime is in UTC."""
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time)
