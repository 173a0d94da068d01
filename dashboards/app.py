"""The web app: routes, static files and errors. A page is a module of `pages`; nothing here reads artifacts."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dashboards.drawing import words
from dashboards.pages import (
    assets,
    compare,
    data,
    evaluation,
    export,
    home,
    models,
    releases,
    reports,
    runs,
    serving,
    tensorboard,
    training,
    tuning,
    watches,
)
from dashboards.pages.site import HERE, Site
from dashboards.readers.files import Missing
from dashboards.readers.metadata import Metadata
from dashboards.readers.servers import Servers
from dashboards.security import REPORT_POLICY, Guard
from pipelines.base.paths import metadata_url


class Guarded(Starlette):
    """An app behind the guard with all that answers for it: what goes wrong is guarded like any page."""

    hosts: tuple[str, ...] = ()

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.hosts)


Page = Callable[[Site, dict[str, str]], Any]
PAGES: dict[str, Page] = {
    "/": home.home,
    "/project": home.project,
    "/run": runs.run,
    "/run/live": runs.live,
    "/log": runs.log,
    "/artifact": models.artifact,
    "/data": data.data,
    "/data/live": data.live,
    "/training": training.training,
    "/tuning": tuning.tuning,
    "/evaluation": evaluation.evaluation,
    "/compare": compare.compare,
    "/models": models.models,
    "/lineage": models.lineage,
    "/serving": serving.serving,
    "/releases": releases.releases,
    "/watches": watches.watches,
}
# A request typed into the form, a picture in base64 included; sent by a browser as it is, by others percent-encoded.
LARGEST_INPUT = 8 << 20
LARGEST_BODY = 3 * LARGEST_INPUT + (64 << 10)


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
        Route("/serving/request", _post(site, serving.request), methods=["POST"]),
        Route("/serving/request", _page(site, serving.serving), methods=["GET"]),
        Route("/tensorboard", _board(site, boards), methods=["POST"]),
        Route(
            "/tensorboard",
            _page(site, lambda site, query: tensorboard.page(boards, site, query)),
            methods=["GET"],
        ),
        Route("/report/{artifact}/{file:path}", functools.partial(_report, site), methods=["GET"]),
        Route("/export", functools.partial(_export, site), methods=["GET"]),
        Route("/plotly.min.js", _plotly, methods=["GET"]),
        Route("/healthz", lambda request: JSONResponse({"state": "up"}), methods=["GET"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=site.warm, daemon=True, name="templates").start()
        yield
        boards.close()

    app = Guarded(
        routes=routes,
        middleware=[
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4),
        ],
        exception_handlers={
            404: functools.partial(_not_found, site),
            HTTPException: functools.partial(_broken, site),
            Exception: functools.partial(_broken, site),
        },
        lifespan=lifespan,
        max_body_size=LARGEST_BODY,
    )
    app.hosts = tuple(hosts)
    app.state.site = site
    return app


def _page(site: Site, page: Page) -> Any:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answer, site, page, dict(request.query_params))

    return endpoint


def _post(site: Site, page: Page) -> Any:
    async def endpoint(request: Request) -> Response:
        form = await _form(request)
        return await run_in_threadpool(_answer, site, page, {key: str(value) for key, value in form.items()})

    return endpoint


def _board(site: Site, boards: tensorboard.Boards) -> Any:
    def started(runs: list[str]) -> Response:
        try:
            board = tensorboard.start(boards, site, runs)
        except Missing as missing:
            return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
        return RedirectResponse(words.url("/tensorboard", board=board.id), 303)

    async def endpoint(request: Request) -> Response:
        form = await _form(request)
        return await run_in_threadpool(started, [str(run) for run in form.getlist("run")])

    return endpoint


async def _form(request: Request) -> FormData:
    """A form. Raises HTTPException 413, which says how much is taken, for a field that is too large."""
    large = HTTPException(413, f"A field may hold up to {LARGEST_INPUT >> 20} MB; this one holds more.")
    try:
        # Starlette counts what is sent, which percent-encoding makes up to three times as large.
        form = await request.form(max_part_size=LARGEST_BODY)
    except HTTPException as error:
        too_large = error.status_code == 413 or "exceeded maximum size" in str(error.detail)
        raise (large if too_large else error) from error
    if any(len(str(value).encode("utf-8", "replace")) > LARGEST_INPUT for _, value in form.multi_items()):
        raise large
    return form


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
        file = await run_in_threadpool(reports.report_file, site, query["artifact"], query["file"])
    except Missing as missing:
        return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
    kind = assets.MEDIA.get(file.suffix.lower(), "application/octet-stream")
    return FileResponse(file, media_type=kind, headers={"Content-Security-Policy": REPORT_POLICY})


async def _export(site: Site, request: Request) -> Response:
    run_id = request.query_params.get("run", "")
    try:
        page = await run_in_threadpool(export.export_page, site, run_id)
    except Missing as missing:
        return HTMLResponse(site.render("error.html", title="Not here", text=str(missing)), 404)
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in run_id)
    return Response(
        page, media_type="text/html", headers={"Content-Disposition": f'attachment; filename="{name}.html"'}
    )


async def _plotly(request: Request) -> Response:
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(assets.plotly_script(), media_type="text/javascript", headers=headers)


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
