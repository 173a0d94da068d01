"""What is missing is said before anything starts: Java, the master; and Spark's texts in one sentence."""

from __future__ import annotations

import pytest

from bridges.errors import BridgeError
from bridges.spark import session


def test_missing_java_names_the_package(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BridgeError, match="apt-get install openjdk-17-jre-headless"):
        session.check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BridgeError, match=r"JAVA_HOME is .* no bin/java"):
        session.check_java()


@pytest.mark.parametrize("master", ["yarn", "local[two]", "spark://", "http://127.0.0.1:7077"])
def test_a_master_that_is_none_is_refused(master):
    with pytest.raises(BridgeError, match="expected local"):
        session.check_master(master)


def test_a_cluster_that_is_not_there_is_said_at_once():
    with pytest.raises(
        BridgeError, match=r"No Spark master answers at spark://127.0.0.1:1 \(Connection refused\)"
    ):
        session.check_master("spark://127.0.0.1:1")


def test_of_a_workers_traceback_only_the_bridges_sentence_is_told():
    text = (
        "An error occurred while calling o1.collect.\n: org.apache.spark.SparkException: Job aborted\n"
        'Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
        "bridges.errors.BridgeError: Column 'x' has 3 missing values in a block.\n\n\tat org.apache.spark...\n"
    )
    assert session.sentence(text) == "Column 'x' has 3 missing values in a block."
    load = "An error occurred while calling o5.load.\n: java.sql.SQLException: No suitable driver\n\tat a.b\n"
    assert session.sentence(load) == "Spark failed: java.sql.SQLException: No suitable driver"
    other = "Job aborted\n\tat a.b\nCaused by: java.io.IOException: No space left on device\n\tat c.d\n"
    assert session.sentence(other) == "Spark failed: java.io.IOException: No space left on device"
