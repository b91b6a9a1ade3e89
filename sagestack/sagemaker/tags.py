"""Tags of every SageMaker resource.

Operations: AddTags, DeleteTags, ListTags. A resource created with Tags keeps them in the
same transaction as its record.
"""

from __future__ import annotations

from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.context import Context
from sagestack.sagemaker.service import sagemaker

MOST_TAGS = 50


def tags_of(request: Request) -> dict[str, str]:
    """The Tags of a Create request as a mapping. Raises ValidationException for a key that
    comes twice or has the reserved prefix."""
    tags: dict[str, str] = {}
    for tag in request.get("Tags", ()):
        if tag["Key"].lower().startswith("aws:"):
            raise ValidationException(
                "The tag key 'aws:' prefix is reserved for AWS use. "
                f"Remove the tag with key '{tag['Key']}' and retry."
            )
        if tag["Key"] in tags:
            raise ValidationException(f"Duplicate tag keys found: {tag['Key']}")
        tags[tag["Key"]] = tag["Value"]
    if len(tags) > MOST_TAGS:
        raise ValidationException(f"A resource can have at most {MOST_TAGS} tags")
    return tags


@sagemaker.operation("AddTags")
def add_tags(request: Request, context: Context) -> Response:
    arn = _known(request["ResourceArn"], context)
    added = tags_of(request)
    if len(context.store.tags(arn) | added) > MOST_TAGS:
        raise ValidationException(f"A resource can have at most {MOST_TAGS} tags")
    context.store.put_tags(arn, added)
    return {"Tags": tag_list(context.store.tags(arn))}


@sagemaker.operation("DeleteTags")
def delete_tags(request: Request, context: Context) -> Response:
    context.store.delete_tags(_known(request["ResourceArn"], context), request["TagKeys"])
    return {}


@sagemaker.operation("ListTags")
def list_tags(request: Request, context: Context) -> Response:
    """Tags come in order of their keys; the token is the last key of a page."""
    tags = context.store.tags(_known(request["ResourceArn"], context))
    after = request.get("NextToken", "")
    rest = {key: value for key, value in tags.items() if key > after}
    limit = int(request.get("MaxResults", MOST_TAGS))
    page = dict(list(rest.items())[:limit])
    answer: dict[str, Any] = {"Tags": tag_list(page)}
    if len(rest) > limit:
        answer["NextToken"] = list(page)[-1]
    return answer


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _known(arn: str, context: Context) -> str:
    """The ARN as it is stored: AWS accepts any case of a name in it."""
    record = context.store.by_arn(arn) or context.store.by_arn(arn.lower())
    if record is None or record.key.account != context.caller.account:
        raise ValidationException(f"Could not find resource with arn: {arn}")
    return record.arn
