"""GET / and GET /docs, and their own files: what lies in `app/static/` and what Swagger UI consists of, as they are."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parents[1] / "static"
SWAGGER_UI = Path(fastapi_offline.__file__).parent / "static"
HEADERS = {
    # Nothing but the page's own files runs, is shown or is called; no other page shows it in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    # Asked for anew each time and answered with 304: a page never runs with a module of another release.
    "Cache-Control": "no-cache",
}

DOCS_HEADERS = HEADERS | {
    # Swagger UI has its icons in its style sheet.
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace("img-src 'self'", "img-src 'self' data:"),
}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def page() -> Response:
    """The web page."""
    return FileResponse(STATIC / "index.html", headers=HEADERS)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs() -> Response:
    """The OpenAPI page."""
    return FileResponse(STATIC / "docs.html", headers=DOCS_HEADERS)


class PageFiles(StaticFiles):
    """The files that a page is made of."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
