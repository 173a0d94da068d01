"""The request form without a server: its example, its limits, where its answer stands, what its URL gives."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboards.readers.protos import message
from dashboards.readers.servers import ModelState, ServerState
from tests.dashboards.synthetic.records import tfrecord

ADDRESS = "http://127.0.0.1:8501"
ORIGIN = {"origin": "http://127.0.0.1"}
FORM = {"server": ADDRESS, "model": "card_fraud", "rows": "1", "version": "1700000001"}


class FakeServers:
    """One server with one model of two versions, whose signature takes examples; it answers how much it was sent."""

    addresses = (ADDRESS,)

    def states(self, names: Any) -> list[ServerState]:
        versions = [(1700000002, "AVAILABLE", ""), (1700000001, "AVAILABLE", "")]
        return [ServerState(ADDRESS, models=[ModelState("card_fraud", versions)])]

    def served(self, names: Any) -> dict[str, list[str]]:
        return {"card_fraud": ["1700000002", "1700000001"]}

    def metadata(self, address: str, model: str, version: int | None) -> Any:
        examples = SimpleNamespace(name="examples", dtype="object", shape=(None,))
        signature = SimpleNamespace(inputs={"examples": examples}, outputs={})
        return SimpleNamespace(version=version or 1700000002, signatures={"serving_default": signature})

    def predict(self, address: str, model: str, version: Any, signature: str, inputs: str, rows: bool) -> Any:
        return {"length": [len(inputs)]}, 1.5


def _examples(home: Path, number: int, **features: Any) -> None:
    """One example of these features in place of what the builder wrote for run `number`."""
    example = message("tensorflow.Example")()
    for name, value in features.items():
        kind = "int64_list" if isinstance(value, int) else "float_list"
        getattr(example.features.feature[name], kind).value.append(value)
    folder = home / "pipelines" / "card_fraud" / "CsvExampleGen" / "examples" / str(number) / "Split-eval"
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "data_tfrecord-00000-of-00001").write_bytes(tfrecord([example.SerializeToString()]))


@pytest.fixture
def client(make_client: Any, synthetic: Any, tmp_path: Path) -> Any:
    """Three runs, the newest failed; each row says by `run` of which it is. card_fraud's label is `Class`."""
    from pipelines.card_fraud.project import PROJECT

    builder = synthetic.Builder(tmp_path)
    for number in (1, 2, 3):
        record = builder.run("card_fraud", number, state="failed" if number == 3 else "succeeded")
        _examples(tmp_path, number, run=number, Amount=2.5, **{PROJECT.evaluation.label_key: 1})
        if number == 3:
            record.pushed = ""
            builder.write(record)
    made = make_client(tmp_path)
    made.app.state.site.servers = FakeServers()
    return made


def _suggested(page: str) -> Any:
    (text,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)
    return json.loads(html.unescape(text))


@pytest.mark.parametrize("version", [1700000001, 1700000002])
def test_the_example_is_of_the_run_that_pushed_the_version_and_has_no_label(
    client: Any, version: int
) -> None:
    page = client.get(f"/serving?server={ADDRESS}&model=card_fraud&version={version}").text
    assert _suggested(page) == [{"Amount": 2.5, "run": version - 1700000000}]


def test_without_that_run_the_newest_that_succeeded_gives_the_example(client: Any) -> None:
    page = client.get(f"/serving?server={ADDRESS}&model=card_fraud&version=5").text
    assert _suggested(page) == [{"Amount": 2.5, "run": 2}]


def test_a_run_whose_files_are_gone_is_passed_over(client: Any) -> None:
    home = client.app.state.site.home
    shutil.rmtree(home / "pipelines" / "card_fraud" / "CsvExampleGen" / "examples" / "2")
    page = client.get(f"/serving?server={ADDRESS}&model=card_fraud&version=1700000002").text
    assert _suggested(page) == [{"Amount": 2.5, "run": 1}]


def test_eight_megabytes_are_taken_however_they_are_sent(client: Any) -> None:
    inputs = json.dumps([{"picture": "é&=" * 1_000_000}], ensure_ascii=False)
    size = len(inputs.encode())
    assert 3_000_000 < size < 8 << 20
    for sent in (
        {"data": {**FORM, "inputs": inputs}},
        {"files": {name: (None, text) for name, text in {**FORM, "inputs": inputs}.items()}},
    ):
        answer = client.post("/serving/request", headers=ORIGIN, **sent)
        assert answer.status_code == 200 and f"{len(inputs)}" in answer.text.partition('id="answer"')[2][:400]


@pytest.mark.parametrize("size", [(8 << 20) + 100, 30 << 20])
def test_more_is_refused_in_words_under_the_policy(client: Any, size: int) -> None:
    for fields in ({"data": {**FORM, "inputs": "x" * size}}, {"files": {"inputs": (None, "x" * size)}}):
        answer = client.post("/serving/request", headers=ORIGIN, **fields)
        assert answer.status_code == 413 and "content-security-policy" in answer.headers
        assert "8 MB" in answer.text or "Too Large" in answer.text


def test_the_answer_stands_before_the_form_which_leads_to_it(client: Any) -> None:
    page = client.post("/serving/request", data={**FORM, "inputs": "[]"}, headers=ORIGIN).text
    assert page.index('id="answer"') < page.index("<textarea")
    assert 'action="/serving/request#answer"' in page


def test_the_forms_own_url_can_be_opened(client: Any) -> None:
    answer = client.get(f"/serving/request?server={ADDRESS}&model=card_fraud")
    assert answer.status_code == 200 and "<textarea" in answer.text
    assert client.get("/serving/request").status_code == 200
