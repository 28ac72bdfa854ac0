"""The OpenAPI document and Swagger UI, from files of this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import flask_openapi3_swagger  # type: ignore[import-untyped]  # has no types
from flask import Blueprint, Response, abort, current_app, redirect, send_from_directory

if TYPE_CHECKING:
    from flask_openapi3.openapi import OpenAPI
    from werkzeug.wrappers import Response as AnyResponse

blueprint = Blueprint("docs", __name__)

_FILES: Final = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"
_ASSETS: Final = {
    "swagger-ui.css": "css",
    "swagger-ui-bundle.js": "js",
    "swagger-ui-standalone-preset.js": "js",
    "swagger.svg": "images",
}
_DAY_SECONDS: Final = 86_400
# Swagger UI styles its elements in place and draws its icons from data: addresses.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>mintwatch API</title>
<link rel="icon" href="/docs/assets/swagger.svg">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/swagger-ui-standalone-preset.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """window.onload = function () {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "StandaloneLayout",
    validatorUrl: null
  });
};
"""


@blueprint.get("/")
def index() -> AnyResponse:
    """Send whoever comes without a path to the documentation."""
    return redirect("/docs")


@blueprint.get("/openapi.json")
def document() -> dict[str, Any]:
    """Give the OpenAPI document."""
    return cast("OpenAPI", current_app).api_doc


@blueprint.get("/docs")
def page() -> Response:
    """Give Swagger UI."""
    answer = Response(_PAGE, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@blueprint.get("/docs/start.js")
def start() -> Response:
    """Give the few lines that start Swagger UI."""
    return Response(_START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    """Give one file of Swagger UI."""
    folder = _ASSETS.get(name)
    if folder is None:
        abort(404)
    return send_from_directory(_FILES / folder, name, max_age=_DAY_SECONDS)
