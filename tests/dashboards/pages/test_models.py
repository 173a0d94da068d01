"""The registry of models and lineage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.tags import tags

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_lineage_leads_from_the_model_to_the_data_and_to_the_push(client: Any) -> None:
    page = client.get(f"/lineage?run={RUN}").text
    text = page[page.index("The same as text") :]
    assert text.index("Trainer") < text.index("Examples") < text.index("used for") < text.index("PushedModel")
    links = {
        a["href"]
        for tag, a in tags(page)
        if tag == "a" and (a.get("href") or "").startswith("/lineage?artifact=")
    }
    for link in sorted(x for x in links if x):
        assert client.get(link).status_code == 200


def test_models_tell_verdict_version_and_size(client: Any) -> None:
    page = client.get("/models?project=card_fraud").text
    assert "1700000003" in page and "1.0 kB" in page and "not blessed" in page


def _artifact(home: Path, number: int, kind: str) -> int:
    record = json.loads(
        (home / "runs/card_fraud" / f"card_fraud-20260101-{number:06d}-abcd" / "run.json").read_text()
    )
    return next(
        o["id"] for n in record["nodes"].values() for o in n["summary"]["outputs"] if o["type"] == kind
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, synthetic: Any) -> Path:
    """Two runs; the second's Evaluator compared its model with the first's."""
    home = tmp_path_factory.mktemp("compared")
    builder = synthetic.Builder(home)
    builder.run("card_fraud", 1)
    builder.run("card_fraud", 2, baseline=_artifact(home, 1, "Model"))
    return home


def _lineage(make_client: Any, home: Path, artifact: int) -> tuple[str, str]:
    """The picture and the text."""
    picture, _, text = (
        make_client(home).get(f"/lineage?artifact={artifact}").text.partition("The same as text")
    )
    return picture, text


def test_what_was_made_with_a_model_as_baseline_does_not_descend_from_it(
    make_client: Any, compared: Path
) -> None:
    picture, text = _lineage(make_client, compared, _artifact(compared, 1, "Model"))
    assert f"artifact {_artifact(compared, 1, 'PushedModel')}" in picture
    for kind in ("PushedModel", "ModelBlessing", "Model"):
        assert f"artifact {_artifact(compared, 2, kind)}<" not in picture, kind
    assert "compared with by Evaluator in card_fraud-20260101-000002-abcd" in text
    assert picture.count('class="arrow dashed"') == 1 and ">baseline_model<" in picture


def test_a_model_does_not_descend_from_what_it_was_compared_with(make_client: Any, compared: Path) -> None:
    picture, text = _lineage(make_client, compared, _artifact(compared, 2, "PushedModel"))
    first = _artifact(compared, 1, "Model")
    assert f"artifact {first}<" in picture and picture.count('class="arrow dashed"') == 1
    assert f"artifact {_artifact(compared, 1, 'Examples')}<" not in picture
    assert re.search(rf"baseline_model: Model {first} .*\(only compared with\)", text)


def test_a_model_shows_what_its_evaluator_compared_it_with(make_client: Any, compared: Path) -> None:
    picture, text = _lineage(make_client, compared, _artifact(compared, 2, "Model"))
    first = _artifact(compared, 1, "Model")
    assert f"artifact {first}<" in picture and picture.count('class="arrow dashed"') == 1
    assert f"artifact {_artifact(compared, 1, 'Examples')}<" not in picture, "and nothing of its descent"
    used_for = text.partition("used for")[2]
    assert re.search(rf"baseline_model: Model {first} .*\(only compared with\)", used_for)


def test_what_was_cleared_away_is_told_as_deleted(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    from pipelines.base.housekeeping import applying

    synthetic.Builder(tmp_path).run("card_fraud", 1)
    examples = _artifact(tmp_path, 1, "Examples")
    with applying.opened(tmp_path) as store:
        applying.Artifacts(store).mark([examples], deleted=True)
    picture, text = _lineage(make_client, tmp_path, _artifact(tmp_path, 1, "Model"))
    assert set(re.findall(r"deleted · [^<]*artifact (\d+)", picture)) == {str(examples)}
    assert set(re.findall(r"(\w+ \d+)  \S+  \(deleted\)", text)) == {f"Examples {examples}"}


def test_the_edge_from_the_model_to_its_push_is_drawn(make_client: Any, compared: Path) -> None:
    from dashboards.readers import ancestry
    from dashboards.readers.metadata import Metadata

    model = _artifact(compared, 2, "Model")
    found = ancestry.around(Metadata(f"sqlite://{compared / 'metadata.sqlite'}"), model)
    assert ("Pusher", "model") in {
        (found.nodes[s.execution], s.key) for s in found.steps if s.artifact == model
    }
    picture, _ = _lineage(make_client, compared, model)
    assert len(re.findall(r'class="arrow(?: dashed)?" d="[^"]*C', picture)) == len(found.steps)


def test_a_samples_version_is_told_from_productions_wherever_versions_are_told(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    builder = synthetic.Builder(tmp_path)
    builder.run("card_fraud", 1)
    last = builder.run("card_fraud", 2, served="card_fraud.sample")
    client = make_client(tmp_path)
    assert "1700000001 pushed" in client.get("/").text, "production comes first, though a sample is newer"
    page = client.get("/models?project=card_fraud").text
    assert ">1700000001<" in page and ">1700000002 (sample)<" in page
    page = client.get("/project?name=card_fraud").text
    assert "pushed: 1700000001, 1700000002 (sample)" in page
    page = client.get(f"/run?id={last.run_id}").text
    assert "card_fraud.sample/1700000002" in page and "What is served as card_fraud stays" in page
    assert "viaduct serve card_fraud.sample" in client.get("/serving").text
