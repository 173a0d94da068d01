"""Every page in headless Chromium: two projects, wide and narrow, light and dark; no console error, nothing cut off.

Screenshots go to test-artifacts/dashboards, which git ignores.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import whole
from pipelines.base.paths import CHECKOUT
from tests.conftest import missing
from tests.dashboards.synthetic import releases, watches

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
        missing("Chromium (Debian's package `chromium`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, which looks for what keeps people out of a page."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        missing("axe-playwright-python")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


VIOLATIONS = """async () => (await axe.run(document)).violations.map(
  (v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`)"""


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
def test_every_page_opens_without_complaint(
    address: str, page_of: Any, axe: str, project: str, look: str
) -> None:
    width, height, scheme = LOOKS[look]
    page, complaints = page_of(width, height, scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
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
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], name
        page.evaluate(axe)
        assert page.evaluate(VIOLATIONS) == [], name


@pytest.mark.parametrize("look", ["wide-light", "narrow-dark"])
def test_releases_ab_tests_and_watches_open_without_complaint(
    synthetic: Any, tmp_path: Path, page_of: Any, axe: str, look: str
) -> None:
    builder = synthetic.Builder(tmp_path)
    releases.add(tmp_path, builder)
    watches.add(tmp_path, builder)
    command = [sys.executable, "-m", "dashboards.main", "--home", str(tmp_path), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert server.stdout is not None
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
    width, height, scheme = LOOKS[look]
    page, complaints = page_of(width, height, scheme)
    folder = SHOTS / "releases" / look
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, query in (
            ("list", "/releases"),
            ("release", "/releases?model=card_fraud&release=1"),
            ("test", "/releases?model=card_fraud"),
            ("watches", "/watches"),
            ("watch", "/watches?model=card_fraud"),
        ):
            page.goto(f"{address}{query}")
            for figure in page.locator("figure.chart .plot").all():
                figure.scroll_into_view_if_needed()
                figure.locator(".main-svg").first.wait_for(timeout=30_000)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=str(folder / f"{name}.png"), full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert not complaints, f"{name}: {complaints}"
            assert page.evaluate(CONTRAST) == [], name
            page.evaluate(axe)
            assert page.evaluate(VIOLATIONS) == [], name
    finally:
        server.terminate()
        server.wait(60)


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


def test_distributions_are_sorted_and_switched_without_a_script(address: str, page_of: Any) -> None:
    page, complaints = page_of(java_script_enabled=False)
    page.goto(f"{address}/data?run={RUNS['card_fraud']}")
    linear = page.locator("#features svg.overlay").first.inner_html()
    assert page.get_by_text("No feature differs by more than chance makes it").is_visible()
    page.get_by_role("link", name="log", exact=True).click()
    assert page.locator("#features svg.overlay").first.inner_html() != linear
    page.get_by_role("link", name="quantiles of train").click()
    assert page.get_by_role("link", name="log", exact=True).get_attribute("aria-current") == "true"
    page.get_by_role("link", name="Distance").click()
    assert page.locator("#features th[aria-sort=descending]").inner_text() == "Distance"
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


def test_an_export_opens_from_disk_with_the_network_off(
    home: Path, page_of: Any, axe: str, tmp_path: Path
) -> None:
    from dashboards.pages import export

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
    drawn = page.locator("#features .drawn:visible").first
    assert drawn.get_attribute("class") == "drawn linear-even"
    page.get_by_label("log", exact=True).check()
    page.get_by_label("quantiles of train").check()
    assert page.locator("#features .drawn:visible").first.get_attribute("class") == "drawn log-quantiles"
    page.evaluate(axe)
    assert page.evaluate(VIOLATIONS) == []
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


def test_a_point_of_a_history_opens_its_run(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/project?name=card_fraud")
    figure = page.locator("figure.chart").first
    figure.locator(".main-svg").first.wait_for()
    point = figure.locator(".scatterlayer .trace .point").first.bounding_box()
    x, y = point["x"] + point["width"] / 2, point["y"] + point["height"] / 2
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)
    figure.locator(".hoverlayer .hovertext").wait_for()
    page.mouse.click(x, y)
    page.wait_for_url("**/run?id=card_fraud-20260101-000001-abcd")
    assert not complaints


def test_a_chart_gives_its_numbers_as_a_table(address: str, page_of: Any, axe: str) -> None:
    page, complaints = page_of()
    page.goto(f"{address}/project?name=card_fraud")
    page.locator("details.numbers summary").first.click()
    table = page.locator("details.numbers table").first
    assert table.locator("th").all_inner_texts() == ["Line", "x", "recall"]
    assert "0.83" in table.inner_text()
    page.evaluate(axe)
    assert page.evaluate(VIOLATIONS) == [] and not complaints


@pytest.fixture
def followed(
    synthetic: Any, tmp_path: Path
) -> Iterator[tuple[str, subprocess.Popen[str], Callable[[int], None]]]:
    """(address of a run's page that works, the dashboard's process, a function that moves the Trainer on)."""
    builder = synthetic.Builder(tmp_path)
    record = builder.run("card_fraud", 1, state="running")
    record.pid, record.pid_started, record.ended = os.getpid(), whole.process_started(os.getpid()), 0.0
    record.nodes["Trainer"].state, record.nodes["Trainer"].ended = "running", 0.0
    folder = builder.write(record)

    def step(done: int) -> None:
        whole.write(
            folder / "Trainer.progress.json", json.dumps({"done": done, "total": 120, "unit": "steps"})
        )

    step(1)
    command = [sys.executable, "-m", "dashboards.main", "--home", str(tmp_path), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert server.stdout is not None
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
    yield f"{address}/run?id={record.run_id}", server, step
    server.kill()
    server.wait(10)


def test_following_a_run_keeps_selection_and_scrolling_and_says_when_nobody_answers(
    followed: tuple[str, subprocess.Popen[str], Callable[[int], None]], page_of: Any
) -> None:
    address, server, step = followed
    page, _ = page_of(700, 500)
    page.goto(address)
    page.get_by_text("1 of 120 steps").wait_for()
    page.evaluate(
        """() => {
          document.querySelector(".graph-box").scrollLeft = 90;
          scrollTo(0, 200);
          getSelection().selectAllChildren(document.querySelector("#nodes td a"));
        }"""
    )
    step(60)
    page.get_by_text("60 of 120 steps").wait_for(timeout=20_000)
    state = "[document.querySelector('.graph-box').scrollLeft, scrollY, String(getSelection())]"
    assert page.evaluate(state) == [90, 200, "CsvExampleGen"]
    server.kill()
    page.get_by_text("The dashboard does not answer").wait_for(timeout=20_000)


def test_times_stay_true_while_a_page_is_open(address: str, page_of: Any) -> None:
    page, complaints = page_of()
    page.clock.install()
    page.goto(f"{address}/project?name=card_fraud")
    time = page.locator("#runs time.ago").nth(1)
    before = time.inner_text()
    page.clock.run_for(3 * 3600 * 1000)
    hours = [int(text.removesuffix(" h ago")) for text in (before, time.inner_text())]
    assert hours[1] - hours[0] in (3, 4) and not complaints
