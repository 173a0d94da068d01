"""sentiment in Chromium: the exported page says what the served model says, while typing, and asks nobody.

Needs the converter's environment (`make tfjs`) and Chromium.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.tfjs_exporter import conversion, environment
from pipelines.base import answer
from pipelines.base.paths import CHECKOUT
from pipelines.sentiment import data, features, rows
from tests.conftest import missing
from tests.pipelines.test_sentiment import AWKWARD, random_strings

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("run-sentiment")]

CHROMIUM = os.environ.get("VIADUCT_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
AT_ONCE = 250


@dataclass
class Opened:
    """The page, what it asked for over any scheme but file:, and what it complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def _artifact(run: Any, kind: str) -> Path:
    """The URI of the run's artifact of type `kind`."""
    outputs = [o for node in run.record.nodes.values() for o in node.summary.get("outputs", ())]
    return Path(next(o["uri"] for o in outputs if o["type"] == kind))


@pytest.fixture(scope="module")
def exported(finished_run: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick run's model as a page."""
    venv = environment.location(CHECKOUT / ".tfjs-venv")
    if not environment.is_complete(venv):
        missing(f"{venv} (`make tfjs` makes it)")
    run = finished_run("sentiment")
    graph = _artifact(run, "TransformGraph")
    (vocabulary,) = graph.glob(f"**/assets/{features.VOCABULARY}")
    words = vocabulary.read_text(encoding="utf-8").split("\n")[:-1]
    target = tmp_path_factory.mktemp("page") / "sentiment"
    conversion.export(
        _artifact(run, "ModelRun") / "keras.h5",
        CHECKOUT / "pipelines" / "sentiment" / "web",
        {**features.page_settings(), "words": words},
        venv,
        target,
    )
    return target


@pytest.fixture(scope="module")
def opened(exported: Path) -> Iterator[Opened]:
    """The page from the disk, offline, on a telephone's screen."""
    if not Path(CHROMIUM).exists():
        missing(CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
        found = Opened(context.new_page())
        found.page.on(
            "request", lambda r: None if r.url.startswith("file:") else found.requests.append(r.url)
        )
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.on("console", lambda m: found.errors.append(m.text) if m.type == "error" else None)
        found.page.goto((exported / "index.html").as_uri())
        found.page.wait_for_selector("#text:enabled", timeout=120_000)
        yield found
        browser.close()


def _in_page(page: Any, call: str, texts: list[str]) -> list[Any]:
    return [
        value
        for i in range(0, len(texts), AT_ONCE)
        for value in page.evaluate(f"(texts) => Sentiment.{call}(texts)", texts[i : i + AT_ONCE])
    ]


def test_page_and_served_model_agree_on_sentences_and_on_random_unicode(
    finished_run: Callable[[str], Any], opened: Opened, tmp_path: Path
) -> None:
    from serving.client import Client

    run = finished_run("sentiment")
    data.sample(tmp_path, 300, seed=21)
    texts = [text for _, text in rows.read_lines(tmp_path / data.FILE)] + AWKWARD + random_strings(1_000)
    process, addresses = answer.start_server(
        "sentiment", Path(run.record.pushed).parent, tmp_path / "serving.log"
    )
    try:
        with Client(addresses["grpc"]) as client:
            served = client.predict(
                "sentiment", {"text": np.array([t.encode() for t in texts], dtype=object)}
            )
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert np.array(_in_page(opened.page, "tokens", texts)).tolist() == served["tokens"].tolist()
    scores = np.array(_in_page(opened.page, "scores", texts))
    assert np.abs(scores - served["score"]).max() < 1e-4
    assert scores.min() < 0.1 and scores.max() > 0.9, "the sentences are of both kinds"


def test_the_score_follows_what_is_typed_and_nothing_is_asked_for(opened: Opened) -> None:
    from playwright.sync_api import expect

    page = opened.page
    moods = []
    for text in ("silver harbour is awesome", "silver harbour is terrible"):
        page.fill("#text", "")
        page.type("#text", text, delay=1)
        expect(page.locator("#words .chip")).to_have_text(text.split(), timeout=30_000)
        moods.append((page.inner_text("#verdict"), float(page.inner_text("#number"))))
    assert moods[0][0] == "positive" and moods[1][0] == "negative" and moods[0][1] > moods[1][1]
    page.fill("#text", "word " * 50)
    page.wait_for_selector("#dropped:not([hidden])")
    assert "10 before them do not" in page.inner_text("#dropped")
    refused = page.evaluate("() => fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert opened.requests == []
    # The one complaint is the content security policy's about the request that was tried just now.
    assert all("connect-src" in text or "Content Security Policy" in text for text in opened.errors), (
        opened.errors
    )


def test_nothing_is_cut_off_on_a_narrow_screen(opened: Opened) -> None:
    opened.page.fill("#text", "absolutely " + "Donaudampfschifffahrtsgesellschaft" * 3)
    opened.page.wait_for_timeout(200)
    width = opened.page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]
