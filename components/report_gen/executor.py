"""The work of ReportGen: gathers the inputs into a context, calls the function, writes the index page."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.report_gen.context import ReportContext
from components.user_code import import_function
from pipelines.base import whole

REPORT_FN_KEY = "report_fn"
CUSTOM_CONFIG_KEY = "custom_config"
MODEL_KEY = "model"
EXAMPLES_KEY = "examples"
TRANSFORM_GRAPH_KEY = "transform_graph"
EVALUATION_KEY = "evaluation"
MODEL_RUN_KEY = "model_run"
TUNER_RESULTS_KEY = "tuner_results"
TUNING_PICTURE = "tuning.png"
REPORT_KEY = "report"
INDEX = "index.html"
PICTURES = (".png", ".svg", ".jpg", ".gif")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em }}
img {{ max-width: 100% }} figure {{ margin: 2em 0 }}</style>
<h1>{title}</h1>
{figures}
</html>
"""


class Executor(base_executor.BaseExecutor):
    """Runs the function in this process; an exception of the function fails the node."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises what the function raises, ImportError for a wrong path, ValueError for an empty report."""
        report = artifact_utils.get_single_instance(output_dict[REPORT_KEY])
        config = json.loads(exec_properties.get(CUSTOM_CONFIG_KEY) or "{}")
        function = import_function(exec_properties[REPORT_FN_KEY])
        folder = Path(report.uri)
        folder.mkdir(parents=True, exist_ok=True)
        function(make_context(folder, input_dict, config.get("parameters", {})))
        for found in input_dict.get(TUNER_RESULTS_KEY) or ():
            shutil.copyfile(Path(found.uri, TUNING_PICTURE), folder / TUNING_PICTURE)
        pictures = sorted(path.name for path in folder.iterdir() if path.suffix in PICTURES)
        if not pictures and not (folder / INDEX).exists():
            raise ValueError(
                f"{exec_properties[REPORT_FN_KEY]} wrote neither pictures nor {INDEX} to context.folder."
            )
        title = f"{report_title(exec_properties[REPORT_FN_KEY])}"
        if not (folder / INDEX).exists():
            write_index(folder, title, pictures)
        report.set_string_custom_property("title", title)
        report.set_string_custom_property("pictures", json.dumps(pictures))


def make_context(
    folder: Path, input_dict: dict[str, list[types.Artifact]], parameters: dict[str, Any]
) -> ReportContext:
    """The context of a report that goes to `folder`; inputs that are absent become None."""
    model = artifact_utils.get_single_instance(input_dict[MODEL_KEY])
    examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
    files = {
        split: [
            str(p)
            for p in sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
            if p.is_file()
        ]
        for split in artifact_utils.decode_split_names(examples.split_names)
    }
    others = {
        key: Path(given[0].uri) if (given := input_dict.get(key)) else None
        for key in (TRANSFORM_GRAPH_KEY, EVALUATION_KEY, MODEL_RUN_KEY)
    }
    return ReportContext(
        folder=folder,
        model=Path(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))),
        examples=files,
        transform_graph=others[TRANSFORM_GRAPH_KEY],
        evaluation=others[EVALUATION_KEY],
        training_logs=others[MODEL_RUN_KEY],
        parameters=parameters,
    )


def report_title(report_fn: str) -> str:
    """`pipelines.card_fraud.report.report` -> `card fraud`: the folder that the function lives in."""
    parts = report_fn.split(".")
    return (parts[-3] if len(parts) > 2 else parts[-1]).replace("_", " ")


def write_index(folder: Path, title: str, pictures: list[str]) -> None:
    """A page without scripts that shows the pictures one below the other, under their file names as captions."""
    figures = "\n".join(
        f'<figure><img src="{html.escape(name)}" alt="{html.escape(_caption(name))}">'
        f"<figcaption>{html.escape(_caption(name))}</figcaption></figure>"
        for name in pictures
    )
    whole.write(folder / INDEX, PAGE.format(title=html.escape(title), figures=figures))


def _caption(name: str) -> str:
    return Path(name).stem.replace("_", " ")
