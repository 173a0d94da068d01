"""ReportGen gives a function what it needs, shows what it drew, and refuses an empty report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from components.report_gen import pictures
from components.report_gen.context import ReportContext


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the executor with a function of the test's own; returns (artifact, the context it was given)."""

    def run(report: Callable[[ReportContext], None]) -> Any:
        from tfx.types import standard_artifacts

        from components.report_gen.component import Report
        from components.report_gen.executor import Executor

        module = ModuleType("report_of_the_test")
        module.report = report  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "report_of_the_test", module)
        examples, model, logs, output = (
            standard_artifacts.Examples(),
            standard_artifacts.Model(),
            standard_artifacts.ModelRun(),
            Report(),
        )
        for artifact, name in ((examples, "examples"), (model, "model"), (logs, "logs"), (output, "report")):
            artifact.uri = str(tmp_path / name)
        examples.split_names = '["train", "eval"]'
        for split in ("train", "eval"):
            folder = tmp_path / "examples" / f"Split-{split}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "data-00000-of-00001.gz").write_bytes(b"")
        Executor().Do(
            {"examples": [examples], "model": [model], "model_run": [logs]},
            {"report": [output]},
            {"report_fn": "report_of_the_test.report", "custom_config": json.dumps({"parameters": {"a": 1}})},
        )
        return output

    return run


def test_the_function_gets_files_by_split_and_its_pictures_are_shown(
    generate: Callable[..., Any], tmp_path: Path
) -> None:
    seen: list[ReportContext] = []

    def report(context: ReportContext) -> None:
        seen.append(context)
        pictures.confusion_matrix(np.array([[5, 1], [0, 7]]), ["a", "b"], context.folder / "first_matrix.png")

    artifact = generate(report)
    (context,) = seen
    assert [Path(file).name for file in context.files("eval")] == ["data-00000-of-00001.gz"]
    assert context.parameters == {"a": 1} and context.evaluation is None
    assert context.training_logs == tmp_path / "logs"
    with pytest.raises(KeyError, match=r"No split 'test'.*\['eval', 'train'\]"):
        context.files("test")
    page = (tmp_path / "report" / "index.html").read_text()
    assert '<img src="first_matrix.png"' in page and "first matrix" in page
    assert json.loads(artifact.get_string_custom_property("pictures")) == ["first_matrix.png"]


def test_a_report_with_a_page_of_its_own_keeps_it(generate: Callable[..., Any], tmp_path: Path) -> None:
    generate(lambda context: (context.folder / "index.html").write_text("mine") and None)
    assert (tmp_path / "report" / "index.html").read_text() == "mine"


def test_a_report_without_anything_to_look_at_fails(generate: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"wrote neither pictures nor index.html"):
        generate(lambda context: None)


def test_curves_of_several_sittings_are_one_curve(tmp_path: Path) -> None:
    import tensorflow as tf

    for sitting, steps in enumerate(((0, 1), (2,))):
        writer = tf.summary.create_file_writer(str(tmp_path / "train"), filename_suffix=f".{sitting}")
        with writer.as_default():
            for step in steps:
                tf.summary.scalar("epoch_loss", 1.0 / (step + 1), step=step)
                tf.summary.scalar("other", 5.0, step=step)
        writer.close()
    curves = pictures.read_curves(tmp_path)
    assert [step for step, _ in sorted(curves["train"]["loss"])] == [0, 1, 2]
    assert set(curves) == {"train"} and set(curves["train"]) == {"loss"}
    assert pictures.read_curves(None) == {}
    pictures.learning_curves(curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5_000
    pictures.learning_curves({}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_grid_has_room_for_every_picture(tmp_path: Path) -> None:
    from PIL import Image

    for count, rows in ((3, 1), (11, 2)):
        pictures.image_grid(np.zeros((count, 8, 8)), ["x"] * count, tmp_path / f"{count}.png")
        width, height = Image.open(tmp_path / f"{count}.png").size
        assert height / width == pytest.approx((1.15 * rows + 0.4) / 9.5, rel=0.05)
