"""The page /docs: the OpenAPI document as one plain HTML page, without scripts and other hosts."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --code: #8881; --accent: #2f6fde; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h2 { margin-top: 2.5rem; } p { margin: .25rem 0 .75rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; }
summary { padding: .6rem .9rem; cursor: pointer; overflow-wrap: anywhere; }
details > div { padding: 0 .9rem .8rem; overflow-x: auto; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--code); border-radius: .4rem; padding: .7rem; overflow-x: auto; }
b { display: inline-block; min-width: 4.2rem; color: var(--accent); font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); }
"""

Document = Mapping[str, Any]


def docs_page(document: Document) -> str:
    """HTML of an OpenAPI document."""
    title = html.escape(document["info"]["title"])
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(document, path, method, operation))
    body = "".join(f"<h2>{html.escape(tag)}</h2>{''.join(rows)}" for tag, rows in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title} API {html.escape(document['info']['version'])}</h1>"
        '<p>The same as a document for programs: <a href="./openapi.json">openapi.json</a>.</p>'
        f"{body}</body></html>"
    )


def _operation(document: Document, path: str, method: str, operation: Document) -> str:
    summary = html.escape(str(operation.get("description") or operation.get("summary", "")))
    parts = [_table(list(_parameters(operation)))]
    schema = _body_schema(operation)
    if schema:
        parts.append(_table(list(_fields(document, schema))))
        example = _example(document, schema)
        if example is not None:
            text = html.escape(json.dumps(example, indent=2, ensure_ascii=False))
            parts.append(f"<p>For example:</p><pre>{text}</pre>")
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{html.escape(path)}</code></summary>"
        f"<div><p>{summary}</p>{''.join(parts)}</div></details>"
    )


def _parameters(operation: Document) -> Iterator[tuple[str, str, str]]:
    for one in operation.get("parameters", []):
        yield one["name"], f"{one['in']}, {_kind(one.get('schema', {}))}", _default(one["schema"])


def _body_schema(operation: Document) -> Document:
    content = operation.get("requestBody", {}).get("content", {})
    media: Document
    for media in content.values():
        schema: Document = media.get("schema", {})
        return schema
    return {}


def _resolved(document: Document, schema: Document) -> Document:
    reference = schema.get("$ref")
    if not reference:
        return schema
    found: Document = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _fields(document: Document, schema: Document) -> Iterator[tuple[str, str, str]]:
    for name, one in _resolved(document, schema).get("properties", {}).items():
        yield name, _kind(one), _default(one)


def _example(document: Document, schema: Document) -> Any:  # noqa: ANN401 - any JSON
    examples = _resolved(document, schema).get("examples")
    return examples[0] if examples else None


def _kind(schema: Document) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"), ("maxLength", "length ≤"))
        if key in schema
    ]
    return ", ".join([str(schema.get("type", "any")), *limits])


def _default(schema: Document) -> str:
    return f"default {json.dumps(schema['default'])}" if "default" in schema else ""


def _table(rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(kind)}</td>"
        f"<td>{html.escape(default)}</td></tr>"
        for name, kind, default in rows
    )
    return f"<table>{cells}</table>"
