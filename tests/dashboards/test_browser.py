"""Every page in headless Chromium: two projects, wide and narrow, light and dark; no console error, nothing cut off.

Screenshots go to test-artifacts/dashboards, which git ignores.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SHOTS = CHECKOUT / "test-artifacts" / "dashboards"
LOOKS = {"wide-light": (1280, 900, "light"), "wide-dark": (1280, 900, "dark"),
         "narrow-light": (390, 844, "light"), "narrow-dark": (390, 844, "dark")}  # fmt: skip
RUNS = {"card_fraud": "card_fraud-20260101-000003-abcd", "digits": "digits-20260101-000005-abcd"}
CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const found = getComputedStyle(e).backgroundColor;
      if (/^rgb\\(/.test(found)) return rgb(found);
    }
    return [255, 255, 255];
  };
  const poor = [];
  const texts = "p, td, th, a, dt, dd, h1, h2, label, button, .state, summary, figcaption";
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || !e.offsetParent || e.closest(".plot")) continue;
    const ink = getComputedStyle(e).color;
    if (!/^rgb\\(/.test(ink)) continue;
    const [x, y] = [light(rgb(ink)), light(ground(e))];
    const ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.className} ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 30)}`);
  }
  return poor.slice(0, 5);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        message = "Chromium is missing (Debian's package `chromium`)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """A dashboard in a process of its own, as `viaduct dashboard` starts it."""
    command = [
        sys.executable,
        "-m",
        "dashboards.main",
        "--home",
        str(home),
        "--port",
        "0",
        "--server",
        "http://127.0.0.1:1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    yield found[0]
    server.terminate()
    server.wait(10)


@pytest.fixture
def page_of(browser: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """`page_of(width, height, scheme)`: a page and what its console complained of."""
    contexts = []

    def opened(
        width: int = 1280, height: int = 900, scheme: str = "light", **more: Any
    ) -> tuple[Any, list[str]]:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **more
        )
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        return page, complaints

    yield opened
    for context in contexts:
        context.close()


def _pages(project: str) -> dict[str, str]:
    run = RUNS[project]
    first = {"card_fraud": "card_fraud-20260101-000001-abcd", "digits": "digits-20260101-000004-abcd"}[
        project
    ]
    return {
        "home": "/",
        "project": f"/project?name={project}",
        "run": f"/run?id={run}",
        "log": f"/log?run={run}&node=Trainer",
        "data": f"/data?run={run}",
        "training": f"/training?run={run}",
        "evaluation": f"/evaluation?run={run}",
        "lineage": f"/lineage?run={run}",
        "compare": f"/compare?a={first}&b={run}",
        "models": f"/models?project={project}",
        "artifact": "/artifact?id=1",
        "serving": "/serving",
    }


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("project", RUNS)
def test_every_page_opens_without_complaint(address: str, page_of: Any, project: str, look: str) -> None:
    width, height, scheme = LOOKS[look]
    page, complaints = page_of(width, height, scheme)
    folder = SHOTS / project / look
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in _pages(project).items():
        page.goto(address + path)
        for figure in page.locator("figure.chart .plot").all():
            figure.scroll_into_view_if_needed()
            figure.locator(".main-svg").first.wait_for(timeout=10_000)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=str(folder / f"{name}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            f"{name} is wider than the window"
        )
        assert not complaints, f"{name}: {complaints}"
        assert page.evaluate(CONTRAST) == [], name


def test_tables_sort_and_filter_from_the_keyboard(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/project?name=card_fraud")
    page.get_by_role("button", name="recall").focus()
    page.keyboard.press("Enter")
    shown = page.locator("#runs tbody td[data-label=recall]").all_inner_texts()
    numbers = [float(text) for text in shown if text != "–"]
    assert numbers == sorted(numbers, reverse=True) and shown[-1] == "–"
    page.keyboard.press("Enter")
    again = [
        float(t) for t in page.locator("#runs tbody td[data-label=recall]").all_inner_texts() if t != "–"
    ]
    assert again == sorted(numbers)
    page.get_by_role("searchbox", name="Filter runs").fill("failed")
    assert page.locator("#runs tbody tr:visible").count() == 1
    page.goto(page.url)
    page.reload()
    assert page.locator("#runs tbody tr:visible").count() == 1, "the filter is part of the address"
    assert not complaints


def test_lineage_can_be_clicked_through(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/lineage?run={RUNS['digits']}")
    page.locator("svg.graph a", has_text="Examples").first.click()
    assert "Examples" in page.locator(".lead").inner_text()
    page.locator("svg.graph a", has=page.locator("text", has_text=re.compile("^Trainer$"))).first.click()
    page.wait_for_url("**/run?id=*")
    assert not complaints


def test_two_runs_are_compared_from_the_list(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/project?name=card_fraud")
    page.get_by_label("first: card_fraud-20260101-000001-abcd").check()
    page.get_by_label("second: card_fraud-20260101-000003-abcd").check()
    page.get_by_role("button", name="Compare two").click()
    assert "+0.18 better" in page.locator("#metrics").inner_text() and not complaints


def test_a_click_opens_tensorboard_on_the_runs_curves(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/training?run={RUNS['card_fraud']}")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Open in TensorBoard").click()
    board = opened.value
    board.wait_for_url(re.compile(r"^http://127\.0\.0\.1:\d+/"), timeout=90_000)
    board.wait_for_url(lambda url: not url.startswith(address), timeout=90_000)
    board.get_by_text("epoch_loss").first.wait_for(timeout=60_000)
    assert board.title() == "TensorBoard"
    assert not complaints


def test_an_export_opens_from_disk_with_the_network_off(home: Path, page_of: Any, tmp_path: Path) -> None:
    from dashboards import export

    target = tmp_path / "run.html"
    assert export.main([RUNS["card_fraud"], "-o", str(target), "--home", str(home)]) == 0
    page, complaints = page_of(offline=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(target.as_uri())
    for figure in page.locator("figure.chart .plot").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for(timeout=10_000)
    assert page.locator("figure.chart .main-svg").count() > 5
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert not complaints
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / "export.png"), full_page=True)


def test_a_foreign_page_cannot_frame_the_dashboard(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.set_content(f'<iframe src="{address}/"></iframe>')
    page.wait_for_timeout(500)
    assert all("Projects" not in frame.content() for frame in page.frames[1:])
    assert complaints, "the browser says that it was refused"
