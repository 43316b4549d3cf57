"""Units of extensions in A1111's `alwayson_scripts`: by id or label, fields by name or position."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from webui.api.schemas import AlwaysOnScript
from webui.errors import InvalidRequest
from webui.extensions.parts import Unit

KeepText = Callable[[str], str]
"""Stores a picture that came as base64 (or by address) and gives its id."""
_ID = re.compile(r"[0-9a-f]{64}")


def split_units(
    scripts: Mapping[str, AlwaysOnScript], kinds: Mapping[str, type[Unit]], keep: KeepText
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, AlwaysOnScript]]:
    """(units of the request by id, scripts that are no units).

    `args` holds an object for each copy; anything else is one copy's values in the order of its
    fields.

    Raises: InvalidRequest: more values than fields. BadImage: a picture cannot be read.
    """
    units: dict[str, list[dict[str, Any]]] = {}
    rest: dict[str, AlwaysOnScript] = {}
    for title, script in scripts.items():
        kind = _named(title, kinds)
        if kind is None:
            rest[title] = script
        elif script.args:
            copies = [_with_pictures(copy, kind, keep) for copy in _copies(script.args, kind)]
            units.setdefault(kind.id, []).extend(copies)
    return units, rest


def _named(title: str, kinds: Mapping[str, type[Unit]]) -> type[Unit] | None:
    name = title.lower()
    return next((kind for kind in kinds.values() if name in (kind.id, kind.label.lower())), None)


def _copies(arguments: list[Any], kind: type[Unit]) -> list[dict[str, Any]]:
    if all(isinstance(one, dict) for one in arguments):
        return [dict(one) for one in arguments]
    names = list(kind.model_fields)
    if len(arguments) > len(names):
        raise InvalidRequest(
            "alwayson_scripts",
            f"{kind.label} takes {len(names)} values ({', '.join(names)}), not {len(arguments)}.",
        )
    return [dict(zip(names, arguments, strict=False))]


def _with_pictures(copy: dict[str, Any], kind: type[Unit], keep: KeepText) -> dict[str, Any]:
    properties = kind.model_json_schema(mode="validation")["properties"]
    pictures = {name for name, shape in properties.items() if _is_picture(shape)}
    return {
        name: keep(value)
        if name in pictures and isinstance(value, str) and value and not _ID.fullmatch(value)
        else value
        for name, value in copy.items()
    }


def _is_picture(shape: Mapping[str, Any]) -> bool:
    """Whether a field's schema, or one of its alternatives, is an `ImageInput`'s."""
    return any(one.get("easel") == "image" for one in (shape, *shape.get("anyOf", ())))
