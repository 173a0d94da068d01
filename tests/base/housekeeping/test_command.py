"""`viaduct gc`, `pin`, `unpin` and `du` as a person meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipelines.base.errors import ViaductError
from pipelines.base.housekeeping import ages, in_use, sizes
from pipelines.cli import main
from tests.base.housekeeping.world import World


@pytest.fixture
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIADUCT_HOME", str(world.paths.home))
    return world.paths.home


def _aged(home: Path, days: int) -> None:
    """As if all that lies in HOME was made so many days ago."""
    import sqlite3

    with sqlite3.connect(home / "metadata.sqlite") as database:
        database.execute(
            f"UPDATE Artifact SET create_time_since_epoch = create_time_since_epoch - {days * 86_400_000}"
        )
    for path in sorted(home.rglob("*"), reverse=True):
        if path.name == "run.json":
            record = json.loads(path.read_text())
            record["ended"] -= days * 86_400
            path.write_text(json.dumps(record))
        status = path.stat()
        os.utime(path, (status.st_atime - days * 86_400, status.st_mtime - days * 86_400))


def test_the_table_says_what_would_go_and_why_the_rest_stays_and_apply_does_it(
    home: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [world.run() for _ in range(12)]
    _aged(home, 41)
    world.run()
    assert main(["gc"]) == 0
    told = capsys.readouterr().out
    assert "would go" in told and "stays" in told and "41 d" in told
    assert "card_fraud.sample/1013," in told and "served: the newest" in told
    assert world.state(world.made[runs[0]]["model"]) == "LIVE", "a look changes nothing"
    assert main(["gc", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    gone = {thing["name"] for thing in plan["going"] if thing["kind"] == "run logs and IR"}
    assert gone == set(runs[:3]), "all but the last ten"
    assert main(["gc", "--apply"]) == 0
    assert "will be purged after 7 days" in capsys.readouterr().out
    assert world.state(world.made[runs[0]]["model"]) == "DELETED"
    assert main(["gc", "--apply"]) == 0
    assert capsys.readouterr().out.strip().startswith("Nothing goes.")
    assert main(["gc", "--restore"]) == 0
    assert world.state(world.made[runs[0]]["model"]) == "LIVE"


def test_pins_are_made_told_and_taken_away(
    home: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run = world.run()
    assert main(["pin", run, "--why", "the paper"]) == 0
    assert main(["pin"]) == 0
    assert "the paper" in capsys.readouterr().out
    assert main(["unpin", run]) == 0 and main(["pin"]) == 0
    assert "the paper" not in capsys.readouterr().out
    assert main(["pin", run[:-1] + "9"]) == 1
    assert f"Did you mean '{run}'?" in capsys.readouterr().err


def test_du_counts_every_byte_once(home: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run = world.run()
    os.link(world.uri(world.made[run]["model"]) / "rows", world.paths.home / "a-second-name")
    assert main(["du", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    files = {(s.st_dev, s.st_ino): s.st_blocks * 512 for s in (path.lstat() for path in home.rglob("*"))}
    nodes = [path for path in (home / "pipelines/card_fraud").iterdir() if path.is_dir()]
    above = [*(home / name for name in ("pipelines", "pipelines/card_fraud", "runs", "serving")), *nodes]
    folders = sum(path.lstat().st_blocks * 512 for path in above)
    assert sum(row["bytes"] for row in rows) == sum(files.values()) - folders
    kinds = {(row["project"], row["kind"]) for row in rows}
    assert {("card_fraud", "examples"), ("card_fraud", "models"), ("", "ML Metadata")} <= kinds
    assert main(["du", "card_fraud"]) == 0
    assert "in all" in capsys.readouterr().out
    assert main(["du", "digits"]) == 1


@pytest.mark.parametrize(("text", "means"), [("30d", 30 * 86400), ("12h", 43200), ("0d", 0), ("2w", 1209600)])
def test_ages_are_read(text: str, means: float) -> None:
    assert ages.seconds(text) == means


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 days"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ViaductError, match="as 30d or 12h"):
        ages.seconds(text)


def test_sizes_are_told_in_three_figures() -> None:
    assert [ages.size(n) for n in (0, 999, 1500, 12_345_678, 3 * 10**13)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "12.3 MB",
        "30.0 TB",
    ]


CONFIG = """
model_config_list {{
  config {{ name: "o" base_path: "/elsewhere/m" version_labels {{ key: "x" value: 3 }} }}
  # config {{ name: "gone" base_path: "{folder}" model_version_policy {{ all {{ }} }} }}
  config {{
    name: "m" base_path: "{folder}" model_platform: "tensorflow"
    {policy}
  }}
}}
"""


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("", {5}),
        ("model_version_policy { latest { num_versions: 2 } }", {4, 5}),
        ("model_version_policy { specific { versions: 1 versions: 2 } }", {1, 2, 5}),
        ("model_version_policy: { specific: { versions: [1, 3] } }", {1, 3, 5}),
        ("model_version_policy { all {} }", {1, 2, 3, 4, 5}),
        ('version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 4 }', {2, 4, 5}),
        ('version_labels { key: "ahead" value: 9 }', {5}),
    ],
)
def test_a_servers_configuration_says_which_versions_are_in_use(
    tmp_path: Path, policy: str, kept: set[int]
) -> None:
    folder = tmp_path / "serving" / "m"
    for version in range(1, 6):
        (folder / str(version)).mkdir(parents=True)
    text = CONFIG.format(folder=folder, policy=policy)
    assert set(in_use.reasons(folder, [text])) == kept
    inside = CONFIG.format(folder="/models/serving/m", policy=policy)
    assert set(in_use.reasons(folder, [inside])) == kept, "a container sees HOME elsewhere"


def test_a_folder_that_cannot_be_read_has_no_size(tmp_path: Path) -> None:
    assert sizes.of(tmp_path / "nothing") == 0 and sizes.rows(tmp_path / "nothing") == []
