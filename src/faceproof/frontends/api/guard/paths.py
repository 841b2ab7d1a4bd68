"""Which requests anyone may make, and which route a request went to, in words that are bounded."""

from __future__ import annotations

from starlette.types import Scope

#: What anyone may ask, as often as they like: whether the service lives, and whether it is ready.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
METRICS_PATH = "/metrics"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Of a request that no route takes, or with a method of the client's own.
OTHER = "other"


def route_path(scope: Scope) -> str:
    """Return the path as the routes see it, without the prefix under which the app is mounted.

    >>> route_path({"path": "/api/healthz", "root_path": "/api"}), route_path({"path": "/apix"})
    ('/healthz', '/apix')
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def method_of(scope: Scope) -> str:
    """Return the method, or `OTHER`: a client may write any word there."""
    method = str(scope["method"])
    return method if method in METHODS else OTHER


def template_of(scope: Scope) -> str:
    """Return the template of the route that took a request, `OTHER` where none did.

    A router that is included under a prefix knows the rest alone; the prefix is what the path has
    more at its beginning. Of an app that is mounted, the place is known and no more.

    >>> from types import SimpleNamespace
    >>> route = SimpleNamespace(path_format="/detectors/{name}")
    >>> template_of({"path": "/v1/detectors/x", "endpoint": len, "route": route, "path_params": {}})
    '/v1/detectors/{name}'
    >>> template_of({"path": "/docs", "endpoint": len, "path_params": {}})
    '/docs'
    >>> template_of({"path": "/wp-admin"})
    'other'
    """
    if "endpoint" not in scope:
        return OTHER
    if "app_root_path" in scope:
        return str(scope["root_path"]).removeprefix(str(scope["app_root_path"])) + "/*"
    template, parameters = getattr(scope.get("route"), "path_format", None), scope["path_params"]
    if template is None:
        return OTHER if parameters else route_path(scope).rstrip()
    if any("/" in str(value) for value in parameters.values()):
        return str(template)
    before = route_path(scope).split("/")[: -template.count("/")]
    return "/".join(before) + str(template)
