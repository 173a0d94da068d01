"""The recorded session of serving/README.md happens as it is told: the same lines, but for times and counts."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from serving.release.command import parser
from tests.serving.processes import ROOT, ServerProcess

TEXT = (ROOT / "serving" / "README.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("\n## Releases\n")[2].partition("\n## ")[0]
SESSION = SECTION.partition("```shell-session\n")[2].partition("```")[0]
# What another run counts or times otherwise; versions, states and shares stay.
VARIES = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d[\d,.e+-]* of \d[\d,.e+-]*", "N of N"),
    (r"(worse|fine|e-value|compared|dropped|apart_\S+) \d[\d,.e+-]*", r"\1 N"),
    (r"\d+ requests in \d+ s", "N requests in N s"),
    (r"five answers in a row failed that the baseline then gave|errors: N of N.*", "errors"),
    (r",? dropped N", ""),
    (r"not 1.5 times as bad as version \d+|N requests in N s and nothing against it", "nothing against it"),
    (r" \(enough\)", ""),
)


def steady(text):
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return text.strip()


def commands():
    """(command, what it printed) of the session, in order."""
    found = []
    for part in re.split(r"^\$ ", SESSION, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        found.append((command, output))
    return found


@pytest.mark.slow
def test_the_session_of_the_readme_happens_as_it_is_told(model, kinds):
    shutil.copytree(kinds / "better", model.base.parent / "exports" / "2")
    shutil.copytree(kinds / "failing", model.base.parent / "exports" / "3")
    background = None
    with ServerProcess(*model.flags()) as server:
        for command, told in commands():
            here = command.replace("/models/", f"{model.base.parent}/").replace(
                "/exports/", f"{model.base.parent}/exports/"
            )
            here = here.replace("127.0.0.1:8500", server.grpc_address)
            words = [
                sys.executable if word == "viaduct" else word for word in shlex.split(here.removesuffix("&"))
            ]
            if words[0] == sys.executable:
                words[1:1] = ["-m", "pipelines"]
            if here.endswith("&"):
                background = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
                continue
            if words == ["wait"]:
                assert background is not None
                printed = background.communicate(timeout=120)[0]
                assert background.returncode == 0, printed
                assert "errors    none" in printed, printed
                continue
            ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)
            assert steady(ended.stdout) == steady(told), ended.stdout + ended.stderr


def test_the_session_is_there_and_names_flags_that_exist():
    assert len(commands()) >= 6
    known = {flag for action in parser()._actions for flag in action.option_strings}
    lines = re.findall(r"viaduct release [^`\n]*", SECTION)
    named = {flag for line in lines for flag in re.findall(r"--[a-z-]+", line)}
    assert named
    assert named - known == set()
