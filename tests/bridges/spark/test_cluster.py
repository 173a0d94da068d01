"""`make spark` and `make spark-stop`: a cluster that outlives the command that started it, and ends when told."""

from __future__ import annotations

import shutil

import pytest

from bridges.errors import BridgeError
from bridges.spark import cluster
from bridges.spark.session import check_master
from tests.conftest import missing


@pytest.mark.spark
@pytest.mark.slow
def test_up_prints_the_address_a_second_up_the_same_and_down_ends_it(tmp_path, monkeypatch, capsys):
    if shutil.which("java") is None:
        missing("Java")
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    try:
        assert cluster.main(["up", "--port", "0", "--workers", "1", "--memory", "512m"]) == 0
        url = capsys.readouterr().out.strip()
        check_master(url)
        assert cluster.main(["up"]) == 0
        assert capsys.readouterr().out.strip() == url
    finally:
        assert cluster.main(["down"]) == 0
    assert capsys.readouterr().out.strip() == "stopped"
    with pytest.raises(BridgeError, match="No Spark master answers"):
        check_master(url)
    assert cluster.main(["down"]) == 0
    assert capsys.readouterr().out.strip() == "no cluster of this HOME was up"
