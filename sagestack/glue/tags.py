"""Tags of databases and jobs.

Operations: TagResource, UntagResource, GetTags.
"""

from __future__ import annotations

from collections.abc import Mapping

from sagestack.aws.registry import Request, Response
from sagestack.context import Context
from sagestack.glue.catalog import DATABASE
from sagestack.glue.errors import EntityNotFoundException, InvalidInputException
from sagestack.glue.service import glue

MOST_TAGS = 50
TAGGABLE = (DATABASE, "glue-job")


def checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Raises InvalidInputException for a key with the prefix that AWS keeps to itself."""
    for key in tags or {}:
        if key.lower().startswith("aws:"):
            raise InvalidInputException(f"Tag key {key} is invalid: the prefix aws: is reserved.")
    return dict(tags or {})


@glue.operation("TagResource")
def tag_resource(request: Request, context: Context) -> Response:
    arn = _known(request, context)
    added = checked_tags(request["TagsToAdd"])
    if len(context.store.tags(arn) | added) > MOST_TAGS:
        raise InvalidInputException(f"A resource can have at most {MOST_TAGS} tags.")
    context.store.put_tags(arn, added)
    return {}


@glue.operation("UntagResource")
def untag_resource(request: Request, context: Context) -> Response:
    context.store.delete_tags(_known(request, context), request["TagsToRemove"])
    return {}


@glue.operation("GetTags")
def get_tags(request: Request, context: Context) -> Response:
    return {"Tags": context.store.tags(_known(request, context))}


def _known(request: Request, context: Context) -> str:
    record = context.store.by_arn(request["ResourceArn"])
    if record is None or record.key.kind not in TAGGABLE:
        raise EntityNotFoundException
    return record.arn
