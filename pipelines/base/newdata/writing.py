"""Writes the files of a project about a table: the templates beside this file, filled in with the findings.

Names and texts of the data stand in the code as Python literals only. The formatter lays the code out, where it is
installed; without it lines are longer and that is all.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from string import Template

from pipelines.base.data import QUERY
from pipelines.base.newdata import code, code_features, code_model, prose, schema
from pipelines.base.newdata.findings import Findings

TEMPLATE = Path(__file__).with_name("template")
SUFFIX = ".tmpl"


def write(findings: Findings, folder: Path) -> None:
    """All files of the project but ir.json into the empty `folder`."""
    filled = {
        "__init__.py": {},
        "README.md": prose.readme(findings),
        "project.py": code.project(findings),
        "data.py": code.data(findings),
        "features.py": code_features.features(findings),
        "model.py": code_model.model(findings),
        "pipeline.py": code.pipeline(findings),
        "report.py": code_model.report(findings),
    }
    for name, values in filled.items():
        template = Template((TEMPLATE / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
        text = template.substitute({"NAME": findings.name, **values})
        text = re.sub(r"\n{4,}", "\n\n\n", text)
        (folder / name).write_text(text, encoding="utf-8")
    if findings.source.address:
        (folder / QUERY).write_text(findings.source.query, encoding="utf-8")
    (folder / "schema.pbtxt").write_text(schema.text(findings), encoding="utf-8")
    _lay_out(folder)


def _lay_out(folder: Path) -> None:
    if importlib.util.find_spec("ruff") is None:
        return
    for command in (["check", "--fix", "--select", "I"], ["format"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", "--no-cache", str(folder)], check=True
        )
