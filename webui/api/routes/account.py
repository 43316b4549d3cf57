"""Logging in and out, and the user's own account: who they are, their API keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from webui.accounts import MAX_LABEL_CHARACTERS, SESSION_SECONDS
from webui.api.account_pages import account_page, login_page
from webui.api.auth import Passwords, TooManyTries, cookie_name, too_many_tries
from webui.api.dependencies import Asker, TheServices

router = APIRouter(tags=["account"])

MAX_FORM_BYTES = 16 * 1024
_LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "username": {"type": "string"},
                        "password": {"type": "string", "format": "password"},
                        "next": {"type": "string", "default": "/"},
                    },
                }
            }
            for kind in ("application/x-www-form-urlencoded", "application/json")
        },
    }
}


class KeyBody(BaseModel):
    """A new API key: what it is for."""

    label: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS)]


@router.get("/login", include_in_schema=False)
def show_login(
    request: Request, services: TheServices, target: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """The page that asks for name and password."""
    if getattr(request.state, "identity", None) is not None or not services.accounts.has_users:
        return RedirectResponse(own_path(target), 303)
    return _page(login_page(own_path(target), _language(request), failed=False))


@router.post("/login", openapi_extra=_LOGIN_BODY)
async def login(request: Request, services: TheServices) -> Response:
    """Open a session: a cookie for page and API. Answers JSON, or leads a browser on."""
    fields = _fields(await request.body())
    passwords = request.app.state.passwords
    if not isinstance(passwords, Passwords):
        raise HTTPException(404, "There are no passwords here: everybody may come in.")
    name, password = fields.get("username", ""), fields.get("password", "")
    if not name or not password:
        raise HTTPException(422, "Give username and password.")
    target = own_path(fields.get("next", "/"))
    is_page = request.headers.get("accept", "").startswith("text/html")
    try:
        user = await passwords.check(request.scope, name, password)
    except TooManyTries as error:
        if not is_page:
            return too_many_tries(error)
        page = _page(login_page(target, _language(request), failed=True, wait=error.seconds), 429)
        page.headers["Retry-After"] = str(error.seconds)
        return page
    if user is None:
        if is_page:
            return _page(login_page(target, _language(request), failed=True), 401)
        raise HTTPException(401, "Name or password is wrong.")
    token = await run_in_threadpool(services.accounts.open_session, user)
    response: Response = JSONResponse({"success": True})
    if is_page:
        response = RedirectResponse(target, 303)
    response.set_cookie(
        cookie_name(request.scope),
        token,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
def logout(request: Request, services: TheServices) -> Response:
    """End this session."""
    name = cookie_name(request.scope)
    services.accounts.close_session(request.cookies.get(name, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(name)
    return response


@router.get("/account", include_in_schema=False)
def show_account(request: Request, services: TheServices, asker: Asker) -> Response:
    """The page of the user's API keys."""
    has_users = services.accounts.has_users
    return _page(account_page(asker.owner, asker.is_admin, has_users, _language(request)))


@router.get("/api/v1/account")
def get_account(asker: Asker) -> dict[str, Any]:
    """Who asks."""
    return {"name": asker.owner, "role": "admin" if asker.is_admin else "user"}


@router.get("/api/v1/account/keys")
def list_keys(services: TheServices, asker: Asker) -> list[dict[str, Any]]:
    """Own API keys, without their secrets."""
    return [asdict(key) for key in services.accounts.keys(asker.owner)]


@router.post("/api/v1/account/keys")
def create_key(body: KeyBody, services: TheServices, asker: Asker) -> Response:
    """A new API key. Its secret is in this answer and nowhere else."""
    key, secret = services.accounts.create_key(asker.owner, body.label)
    return JSONResponse({**asdict(key), "secret": secret}, headers={"Cache-Control": "no-store"})


@router.delete("/api/v1/account/keys/{key_id}")
def delete_key(key_id: str, services: TheServices, asker: Asker) -> dict[str, Any]:
    """Make a key void."""
    if not services.accounts.delete_key(asker.owner, key_id):
        raise HTTPException(404, "There is no such key.")
    return {}


def own_path(target: str) -> str:
    """A place on this server to go on to; '/' for anything else."""
    is_own = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_own and target.isprintable() and len(target) < 2000 else "/"


def _fields(body: bytes) -> dict[str, str]:
    if len(body) > MAX_FORM_BYTES:
        raise HTTPException(413, "That is no name and password.")
    try:
        text = body.decode()
        if text.lstrip().startswith("{"):
            found = json.loads(text)
            return {key: value for key, value in found.items() if isinstance(value, str)}
        return {key: values[0] for key, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        raise HTTPException(422, "Give username and password.") from None


def _language(request: Request) -> str:
    return "ko" if request.headers.get("accept-language", "").lower().startswith("ko") else "en"


def _page(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
