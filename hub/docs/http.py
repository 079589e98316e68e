"""The reference of the HTTP API: from the OpenAPI description that the broker's application gives of itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perijove.hub.broker import create_app
from perijove.hub.docs.models import comment
from perijove.hub.docs.voice import Voice, code
from perijove.hub.settings import Settings
from perijove.spawners.request import Request

_HEAD = (
    "All addresses lie below `/services/perijove/api/v1` of the gateway; `openapi.json` there is the same description "
    "for programs. Send a token that you made on the hub's token page with each request: "
    "`Authorization: token ...`. Amounts: memory in MiB, times in seconds, money in micro-credits, moments in "
    "ISO 8601 (UTC)."
)
_ERRORS = (
    'An error is answered as `{"error": code, "message": text, "faults": [...]}`; each fault names its `field`, a '
    "`code`, an English `message` and `values`. [Troubleshooting](troubleshooting.md) has every code."
)
_OPTIONS = (
    "What `options` of a new session and the body of `/offers` may hold; amounts may also be written as people do "
    '(`"8G"`, `"2h"`).'
)


def description() -> dict[str, Any]:
    """The OpenAPI description of the broker's API."""
    with TemporaryDirectory() as folder:
        app = create_app(Settings.for_demo(Path(folder)))
        return app.openapi()


def page(voice: Voice) -> str:
    """Every address of the API."""
    api = description()
    root = next(iter(api["paths"])).partition("/api/v1")[0] + "/api/v1"
    parts = [f"# {voice.say('Reference: HTTP API')}\n\n{voice.say(_HEAD)}\n\n{voice.say(_ERRORS)}\n"]
    parts.append(f"\n## {voice.say('Options of a request')}\n\n{voice.say(_OPTIONS)}\n\n{_options(voice)}")
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(voice, api, f"{method.upper()} {path.removeprefix(root)}", operation))
    return "".join(parts)


def _options(voice: Voice) -> str:
    rows = []
    for key, field in Request.model_fields.items():
        must = voice.say("Required.") if field.is_required() else ""
        rows.append([code(key), f"{voice.say(comment(Request, key))} {must}".strip()])
    return voice.table(("option", "what it is"), rows)


def _operation(voice: Voice, api: Mapping[str, Any], title: str, operation: Mapping[str, Any]) -> str:
    rows = [
        [code(p["name"]), voice.say(p["in"]), _type(p["schema"]), voice.say(p.get("description", ""))]
        for p in operation.get("parameters", ())
    ]
    rows += [
        [code(key), voice.say("body"), _type(field), voice.say(field.get("description", ""))]
        for key, field in _body(api, operation).items()
    ]
    table = f"\n{voice.table(('name', 'where', 'type', 'what it is'), rows)}" if rows else ""
    return f"\n## `{title}`\n\n{voice.say(operation.get('description') or operation['summary'])}\n{table}"


def _body(api: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    schema = next((part for part in schema.get("anyOf", ()) if "$ref" in part), schema)
    if "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _type(schema: Mapping[str, Any]) -> str:
    """The type of a value, with its limits and default where it has them."""
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    name = " | ".join(str(part.get("type", part.get("$ref", "any").rpartition("/")[2])) for part in kinds)
    choices = [str(choice) for part in kinds for choice in part.get("enum", [part["const"]] if "const" in part else [])]
    limits = [
        f"{sign} {part[key]:g}" for part in kinds for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in part
    ]
    default = [f"= {schema['default']}"] if schema.get("default") not in (None, "") else []
    return ", ".join([name, *filter(None, [" ".join(choices)]), *limits, *default])
