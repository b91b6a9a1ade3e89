"""The user's handler functions, with AWS's defaults for those that are not there.

Each may take one parameter more than it needs: a Context. Source of the rules: contract,
section 3.2; scikit-learn has no default model_fn, on AWS neither.
"""

from __future__ import annotations

import inspect
import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import ModuleType
from typing import Any

from .codecs import JSON, TEXT_TYPES, UnsupportedFormat, decode, encode

LOG = logging.getLogger(__name__)
Handler = Callable[..., Any]
CONFLICT = (
    "Cannot use transform_fn implementation in conjunction with input_fn, predict_fn, "
    "and/or output_fn implementation"
)


class HandlerConflict(ValueError):
    """transform_fn beside one of the functions it takes the place of."""


@dataclass(frozen=True)
class Request:
    body: bytes
    content_type: str
    accept: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str


@dataclass
class Context:
    """What a handler with one more parameter is given."""

    system_properties: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def get_request_header(self, index: int, key: str) -> str | None:
        return self.headers.get(key.lower())

    def get_all_request_header(self, index: int) -> dict[str, str]:
        return dict(self.headers)


class Handlers:
    """All of these run on one thread, in the order the requests came, as code that was
    written for AWS's single-threaded workers expects."""

    def __init__(self, module: ModuleType | None, model_dir: str) -> None:
        """Raises HandlerConflict."""
        self._model_dir = model_dir
        self._model: Any = None
        self._module = module
        self.execution_parameters_fn: Handler | None = self._find("execution_parameters_fn")
        self._transform = self._find("transform_fn")
        steps = [self._find(name) for name in ("input_fn", "predict_fn", "output_fn")]
        if self._transform and any(steps):
            raise HandlerConflict(CONFLICT)
        self._input = steps[0] or default_input_fn
        self._predict = steps[1] or default_predict_fn
        self._output = steps[2] or default_output_fn

    def _find(self, name: str) -> Handler | None:
        return getattr(self._module, name, None)

    def load(self) -> None:
        """Load the model. Raises what the user's functions raise."""
        context = Context({"model_dir": self._model_dir, "gpu_id": None})
        if before := self._find("pre_model_fn"):
            call(before, self._model_dir, context=context)
        load = self._find("model_fn") or default_model_fn
        self._model = call(load, self._model_dir, context=context)
        if warm_up := self._find("model_warmup_fn"):
            call(warm_up, self._model_dir, self._model, context=context)

    def reply(self, request: Request) -> Reply:
        """Raises nothing: what a handler raises is the answer, with status 500."""
        try:
            result = self._run(request)
            if isinstance(result, Reply):
                return result
            if hasattr(result, "get_data") and hasattr(result, "status_code"):
                # A response of sagemaker_containers' or Flask's.
                content_type = result.mimetype or request.accept
                return Reply(HTTPStatus(result.status_code), result.get_data(), content_type)
            if isinstance(result, dict | list):
                result = (encode(result, JSON), JSON)  # as Flask does with what a view returns
            body, content_type = result if isinstance(result, tuple) else (result, request.accept)
            return Reply(HTTPStatus.OK, _as_bytes(body), content_type)
        except BaseException as error:
            trace = traceback.format_exc()
            LOG.error("%s", trace)
            body = f"{error}\n{trace}".encode()
            return Reply(HTTPStatus.INTERNAL_SERVER_ERROR, body, "text/plain")

    def _run(self, request: Request) -> Any:
        context = Context({"model_dir": self._model_dir, "gpu_id": None}, request.headers)
        content: str | bytes = request.body
        if request.content_type in TEXT_TYPES:
            content = request.body.decode("utf-8", "replace")
        if self._transform:
            arguments = (self._model, content, request.content_type, request.accept)
            return call(self._transform, *arguments, context=context)
        try:
            data = call(self._input, content, request.content_type, context=context)
        except UnsupportedFormat as error:
            return _unsupported(error, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        prediction = call(self._predict, data, self._model, context=context)
        try:
            return call(self._output, prediction, request.accept, context=context)
        except UnsupportedFormat as error:
            return _unsupported(error, HTTPStatus.NOT_ACCEPTABLE)


def call(function: Handler, *arguments: Any, context: Context) -> Any:
    """Call a handler, with the context where it has a parameter left for it."""
    try:
        parameters = len(inspect.signature(function).parameters)
    except ValueError:  # a builtin that does not tell
        parameters = len(arguments)
    if parameters == len(arguments) + 1:
        return function(*arguments, context)
    return function(*arguments)


def default_model_fn(model_dir: str) -> Any:
    raise NotImplementedError(
        "Please provide a model_fn implementation. "
        "See documentation for model_fn at https://github.com/aws/sagemaker-python-sdk"
    )


def default_input_fn(body: str | bytes, content_type: str) -> Any:
    array = decode(body, content_type)
    return array.astype("float32") if content_type in TEXT_TYPES else array


def default_predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)


def default_output_fn(prediction: Any, accept: str) -> str | bytes:
    return encode(prediction, accept)


def _as_bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(
        f"output_fn or transform_fn returned {type(body).__name__}: "
        "expected str, bytes, dict, list, or a tuple of str or bytes and a content type"
    )


def _unsupported(error: UnsupportedFormat, status: HTTPStatus) -> Reply:
    body = {
        "error": "UnsupportedFormatError",
        "error-message": str(error),
        "stack-trace": traceback.format_exc(),
    }
    return Reply(status, json.dumps(body).encode(), JSON)
