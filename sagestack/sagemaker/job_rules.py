"""Rules that several kinds of job share and the service model can't say.

`refuse` is for what AWS can do and sagestack does not: the caller hears of it at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.context import Context
from sagestack.engine.images import Image, UnknownImage
from sagestack.engine.programs import ProgramMissing, check_program
from sagestack.engine.s3_uri import parse_s3_uri


def refuse(what: str) -> ValidationException:
    return ValidationException(f"sagestack does not support {what}. The request was rejected.")


def refuse_members(request: Mapping[str, Any], *members: str) -> None:
    """Refuse the first of the members that the request has a value for."""
    for member in members:
        if request.get(member):
            raise refuse(member)


def known_image(uri: str, context: Context) -> Image:
    """Raises ValidationException: AWS's words for an image that can't be had, then ours."""
    try:
        return context.instance.images.find(uri)
    except UnknownImage as error:
        raise ValidationException(
            f"Cannot find the requested image: {uri}. Please ensure that your image exists and "
            f"that the role has permission to pull it. {error}"
        ) from None


def has_program(image: Image, program: str) -> None:
    """Raises ValidationException for an image whose folder lacks what it is started with."""
    try:
        check_program(image, program)
    except ProgramMissing as error:
        raise ValidationException(str(error)) from None


def s3_uri(uri: str, member: str) -> None:
    """Raises ValidationException for a URI that names no bucket."""
    try:
        parse_s3_uri(uri)
    except ValueError as error:
        raise ValidationException(f"Invalid {member}: {error}") from None
