"""The transcripts of serving/README.md are what a server really answers."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest

from serving import flags
from tests.serving.processes import ROOT

TEXT = (ROOT / "serving" / "README.md").read_text(encoding="utf-8")


def transcripts():
    """(command, expected output) of every `$ ` line in the console blocks."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip("\n")))
    return found


@pytest.mark.parametrize(("command", "output"), transcripts(), ids=[c[-60:] for c, _ in transcripts()])
def test_a_transcript_of_the_readme_is_true(model_server, command, output):
    if shutil.which("curl") is None:
        pytest.skip("curl is missing")
    command = command.replace("localhost:8501", model_server.rest_address)
    ended = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == output


def test_every_flag_that_the_readme_names_exists():
    # Those of `viaduct release` are tests/serving/release/test_readme.py's.
    server = TEXT.partition("\n## Releases\n")[0] + TEXT.partition("\n## Operations\n")[2]
    named = set(re.findall(r"--([a-z_]+[a-z])", server)) - {"help", "rm"}
    assert len(named) > 15
    assert named - set(flags.known()) == set()


def test_each_difference_from_the_original_names_its_test():
    table = TEXT.partition("## What differs from the original")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "serving").rglob("test_*.py")
    )
    without = [row[1].strip() for row in rows if f"def {row[-2].strip(' `')}(" not in source]
    assert without == []


@pytest.mark.parametrize("page", ["README.md", "MIGRATING.md"])
def test_metrics_that_a_page_names_are_there(model_server, page):
    import httpx

    httpx.post(f"{model_server.url}/v1/models/scaled:predict", json={"instances": [[1, 2]]})
    text = (ROOT / "serving" / page).read_text(encoding="utf-8")
    named = {name.removesuffix("_bucket") for name in re.findall(r":(?:tensorflow|viaduct):[a-z_:]+", text)}
    assert named
    found = httpx.get(f"{model_server.url}/monitoring/prometheus/metrics").text
    assert [name for name in named if name not in found] == []


def test_every_flag_that_the_page_on_moving_names_exists():
    page = (ROOT / "serving" / "MIGRATING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--([a-z_]+[a-z])", page)) - set(flags.known()) == set()
