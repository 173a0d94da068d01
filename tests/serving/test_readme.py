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
    named = set(re.findall(r"--([a-z_]+[a-z])", TEXT)) - {"help", "rm"}
    assert len(named) > 15
    assert named - set(flags.known()) == set()
