"""What a refused request is answered with: one JSON shape, a sentence, the right status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from webui.api.headers import add_headers
from webui.errors import (
    BadImage,
    InvalidRequest,
    JobNotFound,
    ModelNotFound,
    OutOfMemory,
    QueueFull,
    StorageError,
    UnsupportedModel,
    WebUIError,
)

_STATUS: Mapping[type[WebUIError], int] = {
    InvalidRequest: 422,
    BadImage: 422,
    UnsupportedModel: 422,
    ModelNotFound: 404,
    JobNotFound: 404,
    QueueFull: 429,
    OutOfMemory: 503,
    StorageError: 507,
}
RETRY_AFTER_SECONDS = 5
MAX_LISTED_PROBLEMS = 20


def problem(status: int, kind: str, sentence: str, field: str | None = None) -> JSONResponse:
    """An error's answer: A1111's keys, with the sentence where its clients look for one.

    Args:
        kind: name of the error, e.g. "InvalidRequest".
        field: of the request that is to blame, as the client called it.
    """
    body = {"error": kind, "detail": sentence, "body": "", "errors": sentence, "field": field}
    return JSONResponse(body, status)


def status_of(error: WebUIError) -> int:
    """HTTP status for an error; 500 for what is not the client's fault."""
    return next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)


def install_handlers(app: FastAPI) -> None:
    """Have every error of a route answered in this shape."""

    @app.exception_handler(WebUIError)
    async def _known(_request: Request, error: WebUIError) -> JSONResponse:
        field = error.field if isinstance(error, InvalidRequest) else None
        response = problem(status_of(error), type(error).__name__, str(error), field)
        if isinstance(error, QueueFull):
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _validation_problem(error)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        response = problem(error.status_code, "HTTPException", str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, _error: Exception) -> JSONResponse:
        # answered outside the middlewares; the server logs the error after this
        response = problem(500, "InternalError", "Easel made a mistake; its log says more.")
        add_headers(response.headers, request.url.path)
        return response


def _validation_problem(error: RequestValidationError) -> JSONResponse:
    """422 in FastAPI's shape (a list under `detail`), without echoing what was sent: it may be a
    picture, or a secret.
    """
    details: list[dict[str, Any]] = [
        {"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]}
        for one in error.errors()[:MAX_LISTED_PROBLEMS]
    ]
    first = details[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    sentence = f"{field}: {first['msg']}." if field else f"{first['msg']}."
    body = {
        "error": "InvalidRequest",
        "detail": details,
        "body": "",
        "errors": sentence,
        "field": field or None,
    }
    return JSONResponse(body, 422)
