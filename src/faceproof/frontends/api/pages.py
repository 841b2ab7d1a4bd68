"""`install` adds the pages of the service: `/` and `/docs` in HTML, and `/openapi.json`.

The pages are made from the app's OpenAPI document. They have no script and load nothing, so they
need no network; their style sheet is allowed by its hash.

Source: W3C, "Content Security Policy Level 3", section 6.7.3.3, for the hash of a style.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from faceproof.reports.markup import make_environment

Json = dict[str, Any]

OPENAPI_PATH = "/openapi.json"
_TEMPLATE = "service.html"
_STYLES = ("page.css", "service.css")
#: Files in the examples, and the header with a key.
_PICTURES = ("portrait.jpg", "group.jpg")
_KEY = '-H "X-API-Key: $FACEPROOF_KEY"'


def install(app: FastAPI, *, tls_in_front: bool) -> None:
    """Add the routes of the pages to an app that has its OpenAPI document."""

    async def page(request: Request) -> Response:
        """Return the page that lists the routes."""
        base = _base_url(request, tls_in_front=tls_in_front)
        html, policy = render_page(app.openapi(), base)
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def document(request: Request) -> Response:
        """Return the OpenAPI document, with the prefix of a proxy."""
        root = request.scope.get("root_path", "")
        servers = {"servers": [{"url": root}]} if root else {}
        return JSONResponse(app.openapi() | servers)

    for path in ("/", "/docs"):
        app.add_route(path, page, include_in_schema=False)
    app.add_route(OPENAPI_PATH, document, include_in_schema=False)


def render_page(document: Mapping[str, Any], base: str) -> tuple[str, str]:
    """Return the page of an OpenAPI document as HTML, and its Content-Security-Policy.

    ``base`` is the URL of the service without a final slash, as the client wrote it.
    """
    environment, style = _environment()
    policy = (
        f"default-src 'none'; style-src '{_hash_of(style)}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    html = environment.get_template(_TEMPLATE).render(
        info=document["info"],
        base=base,
        openapi_path=OPENAPI_PATH,
        key=_KEY if "security" in document else "",
        groups=list(_groups(document, base)),
    )
    return html, policy


@lru_cache(maxsize=1)
def _environment() -> tuple[Any, str]:
    """Return the templates and the style sheet of the page."""
    environment = make_environment(filters={}, names={})
    sources = [environment.loader.get_source(environment, name)[0] for name in _STYLES]
    style = "\n".join(sources)
    environment.globals["style"] = style
    return environment, style


def _hash_of(style: str) -> str:
    """Return the hash of a style as in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def _base_url(request: Request, *, tls_in_front: bool) -> str:
    """Return the URL under which the client reached the service."""
    scheme = "https" if tls_in_front else request.scope["scheme"]
    host = request.headers.get("host") or "localhost"
    return f"{scheme}://{host}{request.scope.get('root_path', '')}"


def _groups(document: Mapping[str, Any], base: str) -> Iterator[Json]:
    """Yield each tag with its operations, in the document's order."""
    for tag in document["tags"]:
        operations = [
            _shown(document, operation, f"{method.upper()} {path}", base)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
        yield {**tag, "operations": operations}


def _shown(document: Mapping[str, Any], operation: Json, route: str, base: str) -> Json:
    """Return what the page shows of an operation."""
    method, _, path = route.partition(" ")
    parameters = operation.get("parameters", [])
    for one in parameters:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(_example_of(one)))
    needs_key = "security" in document and operation.get("security") != []
    start = f"curl {_KEY}" if needs_key else "curl"
    if method not in {"GET", "POST"}:
        start += f" -X {method}"
    url = shlex.quote(base + path)
    content = operation.get("requestBody", {}).get("content", {})
    return {
        **operation,
        "route": route,
        "parameters": [{**one, "choices": one["schema"].get("enum", ())} for one in parameters],
        "commands": [f"{start} {sending} {url}" for sending in _send_options(document, content)]
        or [f"{start} {url}"],
        "problems": list(_problem_codes(operation)),
    }


def _example_of(parameter: Mapping[str, Any]) -> Any:
    """Return the example of a path parameter, its name without one."""
    examples = parameter["schema"].get("examples", [parameter["name"]])
    return parameter.get("example", examples[0])


def _send_options(document: Mapping[str, Any], content: Mapping[str, Json]) -> Iterator[str]:
    """Yield curl's options that send each form of a request body."""
    for kind, described in content.items():
        if kind == "multipart/form-data":
            name = described["schema"]["$ref"].rpartition("/")[2]
            schema = document["components"]["schemas"][name]["properties"]["file"]
            count = 2 if schema["type"] == "array" else 1
            yield " ".join(f"-F file=@{picture}" for picture in _PICTURES[:count])
        elif kind == "image/*":
            yield f"-H 'Content-Type: image/jpeg' --data-binary @{_PICTURES[0]}"
        elif kind == "application/json":
            for example in _json_examples(described):
                data = shlex.quote(json.dumps(example, separators=(",", ":")))
                yield f"-H 'Content-Type: application/json' -d {data}"


def _json_examples(described: Json) -> list[Any]:
    """Return the examples of a JSON body."""
    several = [one["value"] for one in described.get("examples", {}).values()]
    return several or [described["example"]]


def _problem_codes(operation: Json) -> Iterator[tuple[str, str]]:
    """Yield each status of an error with its codes; empty where the document has no examples."""
    for status, response in sorted(operation["responses"].items()):
        for described in response.get("content", {}).values():
            if status >= "400":
                yield status, ", ".join(described.get("examples", {}))
