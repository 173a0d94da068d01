"""The two nodes of ending.py. Annotations are not postponed here: TFX reads them as they stand."""

from pathlib import Path

from tfx import v1 as tfx
from tfx.types import standard_artifacts

from tests.base.ending import end


@tfx.dsl.components.component
def maker(model: tfx.dsl.components.OutputArtifact[standard_artifacts.Model]) -> None:
    """Begins to write a model and ends as it is told."""
    (Path(model.uri) / "begun").write_text("")
    end()


@tfx.dsl.components.component
def reader(model: tfx.dsl.components.InputArtifact[standard_artifacts.Model]) -> None:
    """Needs the model."""
    assert (Path(model.uri) / "begun").exists()
