"""The description of the HTTP API, derived from its operations and dataclasses (OpenAPI 3.1.1)."""

import dataclasses
import inspect
import re
import types
import typing
from importlib.metadata import version
from typing import Any

from starlette.responses import JSONResponse, Response

from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.record.server.api import OPERATIONS, Operation
from obliq.record.server.site import Visit

REFUSALS = {
    "400": "The request does not fit the record, its data or its rules.",
    "401": "There is no token, or it is not known.",
    "403": "The role of the token may not do this.",
    "413": "The request is too large.",
}
ENVELOPE = {"type": "object", "description": "A DSSE envelope with an in-toto statement."}
"""What a certificate is; docs/certificate-format.md describes all of it."""
_PLAIN: dict[Any, dict[str, str]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
}


def send_description(visit: Visit) -> Response:
    """The description as a page."""
    return JSONResponse(openapi_document())


def openapi_document() -> dict[str, Any]:
    """The whole description."""
    kinds: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, kinds)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Obliq: erasure record",
            "version": version("obliq"),
            "description": "Create a token with `obliq record account RECORD NAME --role ROLE --token`.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **kinds,
                "Refusal": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}},
                    "required": ["error"],
                },
            },
        },
    }


def _operation(one: Operation, kinds: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", one.path)
    refused = {"content": {"application/json": {"schema": _reference("Refusal")}}}
    found: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.handle.__name__,
        "description": f"For the roles {', '.join(sorted(one.roles))}.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {
                    "application/json": {"schema": _schema(one.answer, kinds) if one.answer else ENVELOPE}
                },
            },
            **{status: {"description": words, **refused} for status, words in REFUSALS.items()},
        },
    }
    if one.body is not None:
        content = {"application/json": {"schema": _schema(one.body, kinds)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _schema(kind: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in kinds:
            kinds[kind.__name__] = {}  # a kind may hold itself
            kinds[kind.__name__] = _object(kind, kinds)
        return _reference(kind.__name__)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema(one, kinds) for one in inner]}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0], kinds)}
    if kind is types.NoneType:
        return {"type": "null"}
    return dict(_PLAIN[kind])


def _object(kind: type[Any], kinds: dict[str, Any]) -> dict[str, Any]:
    words, hints = _attributes(kind), typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or "").partition("\n")[0],
        "properties": {
            one.name: {**_schema(hints[one.name], kinds), "description": words.get(one.name, "")}
            for one in fields
        },
        "required": [one.name for one in fields if not OMITTED_BY_DEFAULT.items() <= one.metadata.items()],
        "additionalProperties": False,
    }


def _attributes(kind: type[Any]) -> dict[str, str]:
    """The lines of a docstring on each field."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
