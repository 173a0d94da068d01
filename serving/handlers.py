"""What each RPC does: request object in, response object out, no sockets.

Predict, Classify, Regress, MultiInference, GetModelMetadata, GetModelStatus and ReloadConfig, with TensorFlow
Serving's checks, texts and codes. gRPC and REST both come here; REST's JSON is made in `serving.rest.bodies`.
Requests and responses are the twins of `serving.wire.messages` (same bytes as the original messages). All errors
are ServingError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from serving.ab.ledger import Ledger, fresh_id
from serving.ab.outcomes import OutcomeError, of_document
from serving.core.servable import Handle
from serving.engine.checks import check_filter, check_inputs, checked_inputs, predict_signature
from serving.engine.classify_regress import (
    CLASSIFY,
    REGRESS,
    examples_of,
    fill_result,
    task_outputs,
)
from serving.engine.saved_model import DEFAULT_SIGNATURE, Arrays, SavedModel, Signature
from serving.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError, Unimplemented
from serving.execution.runner import Runner
from serving.models.models import Models
from serving.release.router import Router, Visit
from serving.telemetry.metrics import Metrics
from serving.telemetry.prediction_logs import LogOptions, PredictionLogs, predict_request
from serving.wire import feedback, messages, model_spec, protos, tensors
from serving.wire.model_spec import Spec, spec_of

SIGNATURE_DEF = "signature_def"
RELOAD_WAIT_S = 600.0


class Handlers:
    """All RPCs over one `Models`. The coroutines belong to the server's event loop."""

    def __init__(
        self,
        models: Models,
        runner: Runner,
        metrics: Metrics | None = None,
        *,
        as_content: bool = False,
        check_method_name: bool = False,
        allow_reload: bool = True,
        logs: PredictionLogs | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.models = models
        self.runner = runner
        self.metrics = metrics or Metrics()
        self.as_content = as_content
        self.check_method_name = check_method_name
        self._allow_reload = allow_reload
        self._logs = logs if logs is not None else PredictionLogs(LogOptions())
        self.draining = False
        self.router = Router(lambda name, version: models.acquire(name, version), self.metrics.release_events)
        self.ledger = ledger if ledger is not None else Ledger()
        self.router.seen = self.ledger.seen

    @property
    def logged(self) -> bool:
        """Whether a log may still hold arrays of a request that was answered."""
        return bool(self._logs)

    def request_id(self) -> str:
        """What outcomes of a request will name it by; "" where nothing is kept that they could be joined with."""
        return fresh_id() if self._logs or self.router.splits else ""

    def acquire(self, spec: Spec, visit: Visit | None = None) -> Handle:
        if visit is not None:
            return visit.acquire(spec)
        return self.models.acquire(spec.name, spec.version, spec.label)

    def _run(
        self,
        handle: Handle,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...],
        timeout_s: float | None,
        visit: Visit | None,
    ) -> Awaitable[Arrays]:
        """`Runner.run`, watched where the call is one of a release's."""
        if visit is None:
            return self.runner.run(handle, signature, inputs, wanted, timeout_s)
        return self._run_in_arm(handle, signature, inputs, wanted, timeout_s, visit)

    async def _run_in_arm(
        self,
        handle: Handle,
        signature: Signature,
        inputs: Arrays,
        wanted: tuple[str, ...],
        timeout_s: float | None,
        visit: Visit,
    ) -> Arrays:
        try:
            outputs = await self.runner.run(
                handle, signature, inputs, wanted, visit.patience(timeout_s), threads=visit.threads
            )
        except ServingError:
            visit.failed(signature, inputs, wanted)
            raise
        visit.saw(signature, inputs, wanted, outputs)
        return outputs

    # Predict.

    async def predict(
        self, request: Any, timeout_s: float | None = None, visit: Visit | None = None, request_id: str = ""
    ) -> Any:
        """messages.PredictRequest -> messages.PredictResponse."""
        spec = model_spec.read(request.model_spec)
        inputs = {entry.key: entry.value for entry in request.inputs}
        wanted = tuple(request.output_filter)
        handle = self.acquire(spec, visit)
        version = handle.id.version
        try:
            signature = predict_signature(handle.servable, spec.signature, self.check_method_name)
            arrays = {name: tensors.decode(tensor, name) for name, tensor in inputs.items()}
            arrays = checked_inputs(signature, check_inputs(signature, arrays))
            if wanted:
                check_filter(signature, wanted)
        except BaseException:
            handle.release()
            raise
        outputs = await self._run(handle, signature, arrays, wanted, timeout_s, visit)
        response = self.predict_response(spec.name, version, signature.name, outputs)
        if self._logs:
            self._logs.log(spec.name, "Predict", lambda: request, lambda: response, request_id)
        return response

    def predict_response(self, name: str, version: int, signature: str, outputs: Arrays) -> Any:
        response = messages.PredictResponse()
        for alias, value in outputs.items():
            entry = response.outputs.add(key=alias)
            tensors.encode(value, entry.value, self.as_content)
        response.model_spec = model_spec.written(Spec(name, version, None, signature))
        return response

    async def predict_arrays(
        self,
        handle: Handle,
        signature: Signature,
        inputs: Arrays,
        timeout_s: float | None = None,
        visit: Visit | None = None,
        request_id: str = "",
    ) -> Arrays:
        """REST's way in: arrays that were already made for the signature. Releases the handle."""
        try:
            inputs = checked_inputs(signature, check_inputs(signature, inputs))
        except BaseException:
            handle.release()
            raise
        name, version = handle.id
        outputs = await self._run(handle, signature, inputs, (), timeout_s, visit)
        if self._logs:
            self._logs.log(
                name,
                "Predict",
                lambda: predict_request(name, version, signature.name, inputs),
                lambda: self.predict_response(name, version, signature.name, outputs),
                request_id,
            )
        return outputs

    # Classify, Regress, MultiInference.

    async def classify(
        self, request: Any, timeout_s: float | None = None, visit: Visit | None = None, request_id: str = ""
    ) -> Any:
        """messages.ExamplesRequest -> ClassificationResponse."""
        response = protos.classification_pb2.ClassificationResponse()
        await self._one_task(request, CLASSIFY, response, response.result, timeout_s, visit, request_id)
        return response

    async def regress(
        self, request: Any, timeout_s: float | None = None, visit: Visit | None = None, request_id: str = ""
    ) -> Any:
        """messages.ExamplesRequest -> RegressionResponse."""
        response = protos.regression_pb2.RegressionResponse()
        await self._one_task(request, REGRESS, response, response.result, timeout_s, visit, request_id)
        return response

    async def _one_task(
        self,
        request: Any,
        method: str,
        response: Any,
        result: Any,
        timeout_s: float | None,
        visit: Visit | None,
        request_id: str,
    ) -> None:
        spec = model_spec.read(request.model_spec)
        handle = self.acquire(spec, visit)
        version = handle.id.version
        try:
            signature = self._example_signature(handle.servable, spec.signature, method)
            wanted = task_outputs(signature, method)
            inputs, count = self._example_inputs(spec.name, signature, request.input)
        except BaseException:
            handle.release()
            raise
        outputs = await self._run(handle, signature, inputs, wanted, timeout_s, visit)
        fill_result(method, result, outputs, count)
        model_spec.fill(response.model_spec, Spec(spec.name, version, None, signature.name))
        if self._logs:
            rpc = "Classify" if method == CLASSIFY else "Regress"
            self._logs.log(spec.name, rpc, lambda: request, lambda: response, request_id)

    def _example_signature(self, model: SavedModel, name: str, method: str) -> Signature:
        signature = model.signatures.get(name or DEFAULT_SIGNATURE)
        if signature is None:
            raise InvalidArgument(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
        self._check_method(signature, method)
        return signature

    def _check_method(self, signature: Signature, method: str) -> None:
        kind = "classification" if method == CLASSIFY else "regression"
        if self.check_method_name and signature.definition.method_name != method:
            raise InvalidArgument(
                f"Expected {kind} signature method_name to be {method}. "
                f"Was: {signature.definition.method_name}"
            )

    def _example_inputs(self, name: str, signature: Signature, given: Any) -> tuple[Arrays, int]:
        examples = examples_of(given)
        self.metrics.example_counts.add((name,), examples.size)
        self.metrics.example_total.add((name,), examples.size)
        return checked_inputs(signature, {"inputs": examples}), examples.size

    async def multi_inference(
        self, request: Any, timeout_s: float | None = None, visit: Visit | None = None, request_id: str = ""
    ) -> Any:
        """messages.MultiInferenceRequest -> MultiInferenceResponse; all tasks see the same version.

        The original runs all tasks in one go and so demands that they share an input tensor, which signatures
        exported by TensorFlow 2 never do; here each task is a run of its own.
        """
        response = protos.inference_pb2.MultiInferenceResponse()
        tasks = list(request.tasks)
        if not tasks or not tasks[0].model_spec.name:
            # The original looks for the model of the first task before it looks at the tasks.
            raise InvalidArgument("ModelSpec has no name specified.")
        spec = self._multi_spec(tasks)
        handle = self.acquire(spec, visit)
        try:
            plan = self._multi_plan(handle.servable, tasks)
            inputs, count = self._example_inputs(spec.name, plan[0][0], request.input)
            outputs = []
            for signature, _, wanted in plan:
                # Each run gives one handle back, so it gets one of its own on the same version.
                shared = handle.share()
                outputs.append(await self._run(shared, signature, inputs, wanted, timeout_s, visit))
            for (signature, method, _), values in zip(plan, outputs, strict=True):
                result = response.results.add()
                field = "classification_result" if method == CLASSIFY else "regression_result"
                fill_result(method, getattr(result, field), values, count)
                served = Spec(spec.name, handle.id.version, None, signature.name)
                model_spec.fill(result.model_spec, served)
        finally:
            handle.release()
        if self._logs:
            self._logs.log(spec.name, "MultiInference", lambda: request, lambda: response, request_id)
        return response

    def _multi_spec(self, tasks: list[Any]) -> Spec:
        names = {task.model_spec.name for task in tasks}
        if "" in names:
            raise InvalidArgument("Found ModelSpec with an empty model name.")
        if len(names) > 1:
            raise InvalidArgument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        return spec_of(tasks[0].model_spec)

    def _multi_plan(
        self, model: SavedModel, tasks: list[Any]
    ) -> list[tuple[Signature, str, tuple[str, ...]]]:
        plan: list[tuple[Signature, str, tuple[str, ...]]] = []
        for task in tasks:
            name = task.model_spec.signature_name or DEFAULT_SIGNATURE
            if any(signature.name == name for signature, _, _ in plan):
                raise InvalidArgument(f"Duplicate evaluation of signature: {name}")
            signature = model.signatures.get(name)
            if signature is None:
                raise InvalidArgument(f"Requested signature not found in model graph: {name}")
            if task.method_name not in (CLASSIFY, REGRESS):
                raise Unimplemented(f"Unsupported signature method_name: {task.method_name}")
            self._check_method(signature, task.method_name)
            outputs = task_outputs(signature, task.method_name)
            plan.append((signature, task.method_name, outputs))
        return plan

    # Feedback.

    async def give(self, request: Any) -> Any:
        """feedback.GiveRequest -> feedback.GiveResponse, when the outcomes are on the disk."""
        return feedback.GiveResponse(
            kept=await self.feedback(request.model, {"outcomes": feedback.as_objects(request)})
        )

    async def feedback(self, name: str, document: Any) -> int:
        """Keeps what users did, as `serving.ab.outcomes` reads it, all or nothing; how many outcomes that were."""
        try:
            outcomes = of_document(document)
        except OutcomeError as error:
            raise InvalidArgument(f"Feedback: {error}. Nothing was kept.") from None
        return await self.ledger.give(name, outcomes)

    # Metadata, status, configuration.

    def get_model_metadata(self, request: Any) -> Any:
        """GetModelMetadataRequest -> GetModelMetadataResponse."""
        if not request.HasField("model_spec"):
            raise InvalidArgument("Missing ModelSpec")
        if not request.metadata_field:
            raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != SIGNATURE_DEF:
                raise InvalidArgument(f"Metadata field {name} is not supported")
        response = protos.get_model_metadata_pb2.GetModelMetadataResponse()
        with self.acquire(spec_of(request.model_spec)) as handle:
            signatures = protos.get_model_metadata_pb2.SignatureDefMap()
            for name, definition in handle.servable.definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            model_spec.fill(response.model_spec, Spec(*handle.id))
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response

    def get_model_status(self, request: Any) -> Any:
        """GetModelStatusRequest -> GetModelStatusResponse."""
        if not request.HasField("model_spec"):
            raise InvalidArgument("Missing ModelSpec")
        spec = spec_of(request.model_spec)
        version = spec.version
        if spec.label is not None:
            version = self.models.version_of(spec.name, spec.label)
        states = self.models.states(spec.name)
        if version is not None:
            if version not in states:
                raise NotFound(f"Could not find version {version} of model {spec.name}")
            states = {version: states[version]}
        if not states:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        response = protos.get_model_status_pb2.GetModelStatusResponse()
        for number, state in states.items():
            entry = response.model_version_status.add(version=number, state=state.state.value)
            code, text = state.error or ("OK", "")
            entry.status.error_code = ServingError("", code).number
            entry.status.error_message = text
        return response

    async def reload_config(self, request: Any) -> Any:
        """ReloadConfigRequest -> ReloadConfigResponse; answers when the models new in it are available."""
        if not self._allow_reload:
            raise FailedPrecondition(
                "This server was started with --allow_reload_config=false; change its --model_config_file."
            )
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.models.apply, request.config, RELOAD_WAIT_S)
        return protos.model_management_pb2.ReloadConfigResponse(status={"error_code": 0})

    def health(self) -> dict[str, str]:
        """Model -> "available", "loading" or "broken: why"; "server" -> "draining" while it stops."""
        report = self.models.readiness()
        return {**report, "server": "draining"} if self.draining else report
