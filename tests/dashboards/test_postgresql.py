"""The pages over ML Metadata on a real PostgreSQL, filled with finished runs and asked like the file of SQLite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dags.cluster import Cluster
from dashboards.readers.metadata import KEPT_S
from tests.postgresql import temporary_cluster

pytestmark = pytest.mark.slow
RUN = "card_fraud-20260101-000003-abcd"
# A quote ends SQL's texts, a backslash MLMD's own quoting; both are in what a run records.
ODD = 'C:\\data\\it\'s "here"'


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this module's own, stopped and deleted with it."""
    with temporary_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def builder(cluster: Cluster, synthetic: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three recorded runs and one that only the database knows."""
    home = tmp_path_factory.mktemp("home")
    made = synthetic.Builder(home, cluster.url("mlmd", "of-mlmd", "mlmd"))
    for number, (value, blessed) in enumerate(((0.7, False), (0.83, True), (0.88, True)), 1):
        made.run("card_fraud", number, value=value, blessed=blessed)
    made.run("card_fraud", 4, record=False, parameters={"epochs": 3, "folder": ODD})
    return made


@pytest.fixture(scope="module")
def client(cluster: Cluster, builder: Any, make_client: Any) -> Any:
    return make_client(builder.home, url=cluster.url("mlmd", "of-mlmd", "mlmd"))


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/", "Which card transactions are fraudulent?"),
        ("/project?name=card_fraud", "000004-abcd"),
        (f"/run?id={RUN}", "Every bar was met. Pushed."),
        (f"/data?run={RUN}", "span 2"),
        (f"/evaluation?run={RUN}", "change ≥ -0.1"),
        (f"/lineage?run={RUN}", "PushedModel"),
        (f"/compare?a=card_fraud-20260101-000001-abcd&b={RUN}", "code of Trainer"),
        ("/models?project=card_fraud", "1700000003"),
        ("/artifact?id=1", "Examples"),
    ],
)
def test_a_page_tells_what_postgresql_holds(client: Any, page: str, said: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200 and said in answer.text
    assert "cannot be read" not in answer.text


def test_a_server_that_turns_the_pages_away_is_told_with_its_cause(
    cluster: Cluster, builder: Any, make_client: Any
) -> None:
    wrong = make_client(builder.home, url=cluster.url("mlmd", "of-nobody", "mlmd"))
    page = wrong.get(f"/lineage?run={RUN}").text
    assert "password authentication failed" in page and "of-nobody" not in page


def test_the_same_pages_as_from_sqlite(
    client: Any, builder: Any, make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    """Ids and times aside: both databases are filled by the same calls."""
    other = synthetic.Builder(tmp_path)
    for number, (value, blessed) in enumerate(((0.7, False), (0.83, True), (0.88, True)), 1):
        other.run("card_fraud", number, value=value, blessed=blessed)
    sqlite = make_client(tmp_path)

    def text(of: Any, home: Path) -> str:
        page = of.get(f"/lineage?run={RUN}").text
        return page[page.index("The same as text") :].replace(str(home), "HOME")

    assert text(client, builder.home) == text(sqlite, tmp_path)


def test_a_run_of_postgresql_alone_has_its_parameters_with_every_backslash(client: Any) -> None:
    from markupsafe import escape

    page = client.get("/run?id=card_fraud-20260101-000004-abcd").text
    assert str(escape(ODD)) in page and "Trainer" in page


def test_a_new_run_is_seen_within_seconds(client: Any, builder: Any) -> None:
    """No file changes with the database, so lists are kept by the clock."""
    assert "000005-abcd" not in client.get("/project?name=card_fraud").text
    builder.run("card_fraud", 5, record=False)
    time.sleep(KEPT_S)
    assert "000005-abcd" in client.get("/project?name=card_fraud").text


def test_a_restart_of_the_database_is_survived_and_its_end_is_said(cluster: Cluster, client: Any) -> None:
    """Last in this module: it leaves the database stopped."""
    cluster.restart()
    answer = client.get("/models?project=card_fraud")
    assert "1700000003" in answer.text and "cannot be read" not in answer.text
    cluster.stop("immediate")
    answer = client.get(f"/run?id={RUN}")
    assert answer.status_code == 200 and "Every bar was met." in answer.text
    assert "cannot be read" in client.get("/models?project=card_fraud").text
    assert "of-mlmd" not in client.get("/models?project=card_fraud").text, "the password stays inside"
