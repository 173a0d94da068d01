"""What the executors of our ExampleGens share: Beam arguments that name a runner, whoever calls."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_executor

from components import shards


class ExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """TFX's, with the house's own runner where nobody named one."""

    def __init__(self, context: base_beam_executor.BaseBeamExecutor.Context | None = None) -> None:
        super().__init__(context)
        self._beam_pipeline_args = shards.with_runner(context.beam_pipeline_args if context else None)
