"""The Pusher's executor: the stock one's contract with a push that is whole or not there.

Runs as `custom_executor_spec` of the stock Pusher; pushes to a file system only. How is pushing.py's.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.pusher import executor as tfx_pusher
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils, proto_utils

from components.model_pusher.pushing import push
from pipelines.base import whole

# A flag of the executor: the plan by which the server releases what is pushed, as JSON.
RELEASE_FLAG = "--release_plan="


class Executor(tfx_pusher.Executor):
    """Idempotent: a model that is already the newest version is not pushed again. Clears up after killed pushes.

    Where a rehearsal's blessing holds the model with its warm-up file, that is what is pushed.
    """

    def GetModelPath(self, input_dict: dict[str, list[types.Artifact]]) -> str:
        """The folder to push."""
        for blessing in input_dict.get(standard_component_specs.INFRA_BLESSING_KEY) or ():
            if blessing.get_int_custom_property("has_model"):
                return str(path_utils.stamped_model_path(blessing.uri))
        return str(super().GetModelPath(input_dict))

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes if blessed. Raises PushError with the cause and the folder if the copy fails."""
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = Path(destination.filesystem.base_directory)
        whole.sweep(base)
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        flag = next((f for f in self._extra_flags or () if f.startswith(RELEASE_FLAG)), None)
        plan = None if flag is None else json.loads(flag.removeprefix(RELEASE_FLAG))
        version = push(Path(self.GetModelPath(input_dict)), base, plan)
        logging.info("Pushed to %s", version)
        self._MarkPushed(pushed, pushed_destination=str(version))
