"""Which raw data a run reads: what was given, a delivery that is there, or a made-up sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base import data, registry
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings


def located(home: Path, given: Path | str = "", span: int | None = None) -> Path:
    card = registry.get("sentiment")
    settings = Settings.of(card, data=str(given), span=span)
    return data.locate(card, Paths.of("sentiment", home), settings, lambda text: None)


def spans(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "sentiment.txt").write_text("1\tgood\n", encoding="utf-8")
    return folder


def test_a_span_that_is_there_is_read(tmp_path: Path) -> None:
    folder = spans(tmp_path / "data", "span-0", "span-7")
    assert located(tmp_path, folder, span=7) == folder
    own = spans(tmp_path / "data" / "sentiment", "span-3")
    assert located(tmp_path, span=3) == own


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("span-2", "span-10", "span-0"), "spans 0, 2 and 10"),
        (("span-4",), "span 4"),
        (tuple(f"span-{n}" for n in range(20600, 20640)), "40 spans, 20600 to 20639"),
    ],
)
def test_a_missing_span_is_named_with_those_there_are(
    tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    folder = spans(tmp_path / "deliveries", *names)
    with pytest.raises(ProjectError, match=rf"--span 99 .*{folder}.* {told}\."):
        located(tmp_path, folder, span=99)
    (tmp_path / "data").mkdir()
    folder.rename(tmp_path / "data" / "sentiment")
    with pytest.raises(ProjectError, match=rf"--span 99 .* {told}\."):
        located(tmp_path, span=99)


def test_a_span_of_data_without_spans_is_refused_with_the_layout(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1\tgood\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"--span 0 .*x\.txt.*no spans.*span-0/"):
        located(tmp_path, tmp_path / "x.txt", span=0)


def test_a_sample_is_span_0_and_not_made_for_another(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"--span 1 .*sample.*span 0\."):
        located(tmp_path, span=1)
    assert not (tmp_path / "samples").exists()
