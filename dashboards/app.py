"""The web app: routes, static files and errors. Pages are in pages_*.py; nothing here reads artifacts."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dashboards import (
    pages_data,
    pages_home,
    pages_models,
    pages_quality,
    pages_runs,
    pages_serving,
    tensorboard,
)
from dashboards.export import export_page
from dashboards.files import Missing
from dashboards.metadata import Metadata
from dashboards.security import REPORT_POLICY, Guard
from dashboards.servers import Servers
from dashboards.site import HERE, Site
from pipelines.base.paths import metadata_url

Page = Callable[[Site, dict[str, str]], Any]
PAGES: dict[str, Page] = {
    "/": pages_home.home,
    "/project": pages_home.project,
    "/run": pages_runs.run,
    "/run/live": pages_runs.live,
    "/log": pages_runs.log,
    "/artifact": pages_models.artifact,
    "/data": pages_data.data,
    "/training": pages_quality.training,
    "/evaluation": pages_quality.evaluation,
    "/compare": pages_quality.compare,
    "/models": pages_models.models,
    "/lineage": pages_models.lineage,
    "/serving": pages_serving.serving,
}
# A request typed into the form, a picture in base64 included.
LARGEST_BODY = 8 << 20
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".gif": "image/gif",
         ".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8"}  # fmt: skip


def create_app(
    home: Path, servers: Sequence[str] = (), hosts: Iterable[str] = (), url: str = ""
) -> Starlette:
    """The app over one HOME. `servers` are REST addresses of model servers, `hosts` further Host names to answer."""
    site = Site(home.absolute(), Metadata(url or metadata_url(home.absolute())), Servers(servers))
    boards = tensorboard.Boards()
    routes: list[BaseRoute] = [
        Route(path, _page(site, page), methods=["GET"]) for path, page in PAGES.items()
    ]
    routes += [
        Route("/serving/request", _post(site, pages_serving.request), methods=["POST"]),
        Route("/tensorboard", _post(site, functools.partial(tensorboard.start, boards)), methods=["POST"]),
        Route("/report/{artifact}/{file:path}", functools.partial(_report, site), methods=["GET"]),
        Route("/export", functools.partial(_export, site), methods=["GET"]),
        Route("/plotly.min.js", _plotly, methods=["GET"]),
        Route("/healthz", lambda request: JSONResponse({"state": "up"}), methods=["GET"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        boards.close()

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, hosts=hosts),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4),
        ],
        exception_handlers={
            404: functools.partial(_not_found, site),
            Exception: functools.partial(_broken, site),
        },
        lifespan=lifespan,
        max_body_size=LARGEST_BODY,
    )
    app.state.site = site
    return app


def _page(site: Site, page: Page) -> Any:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answer, site, page, dict(request.query_params))

    return endpoint


def _post(site: Site, page: Page) -> Any:
    async def endpoint(request: Request) -> Response:
        form = await request.form()
        values = {key: str(value) for key, value in form.items()}
        return await run_in_threadpool(_answer, site, page, values)

    return endpoint


def _answer(site: Site, page: Page, query: dict[str, str]) -> Response:
    """The page's HTML; what is missing altogether is a 404 in words."""
    try:
        answer = page(site, query)
    except Missing as missing:
        return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
    return answer if isinstance(answer, Response) else HTMLResponse(answer)


async def _report(site: Site, request: Request) -> Response:
    """A file of a Report artifact, by the artifact's id and the file's name."""
    query = request.path_params
    try:
        file = await run_in_threadpool(pages_quality.report_file, site, query["artifact"], query["file"])
    except Missing as missing:
        return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
    kind = MEDIA.get(file.suffix.lower(), "application/octet-stream")
    return FileResponse(file, media_type=kind, headers={"Content-Security-Policy": REPORT_POLICY})


async def _export(site: Site, request: Request) -> Response:
    run_id = request.query_params.get("run", "")
    try:
        page = await run_in_threadpool(export_page, site, run_id)
    except Missing as missing:
        return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in run_id)
    return Response(
        page, media_type="text/html", headers={"Content-Disposition": f'attachment; filename="{name}.html"'}
    )


async def _plotly(request: Request) -> Response:
    return FileResponse(
        plotly_file(), media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"}
    )


@functools.cache
def plotly_file() -> Path:
    """plotly.min.js of the installed package, found without importing it."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise Missing("plotly is not installed; charts need it (extra `dashboards`).")
    return Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"


async def _not_found(site: Site, request: Request, error: Exception) -> Response:
    text = f"There is no page at {request.url.path}."
    return HTMLResponse(site.render("error.html", title="Not here", text=text), 404)


async def _broken(site: Site, request: Request, error: Exception) -> Response:
    """A mistake of ours: the web server logs the trace, the page tells the kind of error."""
    if isinstance(error, HTTPException):
        return HTMLResponse(
            site.render("error.html", title="Refused", text=str(error.detail)), error.status_code
        )
    text = f"This page failed with {type(error).__name__}; the dashboard's log has the details."
    return HTMLResponse(site.render("error.html", title="An error of the dashboard", text=text), 500)
