"""Shared by the serving tests: SavedModels made once, and one server process that serves all of them.

`models_root` is read-only; a test that pushes versions copies what it needs into its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import savedmodels
from tests.serving.processes import ServerProcess


@pytest.fixture(scope="session")
def models_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders scaled/{1,2,3}, pair/1, echo/1 and examples/1; see tests.serving.savedmodels."""
    root = tmp_path_factory.mktemp("models")
    savedmodels.build(root)
    return root


@pytest.fixture(scope="session")
def model_server(models_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server process with all models; `.grpc_address`, `.rest_address`, `.url`. Not for changing."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(savedmodels.config(models_root))
    flags = ["--allow_version_labels_for_unavailable_models", "--rest_api_max_body_bytes=8388608"]
    with ServerProcess(f"--model_config_file={config}", *flags) as server:
        yield server
        assert server.process.poll() is None, f"The server died during the tests:\n{server.output}"
