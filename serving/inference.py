"""Inference on the served models, independent of the protocol: REST and gRPC both call it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from serving.admission.limits import Limits
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.execution import Execution
from serving.manager.handle import Handle
from serving.manager.model_manager import ModelManager
from serving.metrics import EXAMPLE_COUNTS, RUNTIME_LATENCY, Metrics
from serving.model_spec import ModelSpec
from serving.request_log import RequestLog
from serving.signature import Signature, TensorSpec, type_name

# Aliases that TensorFlow Serving requires of classify and regress signatures.
_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


@dataclass(frozen=True)
class Classification:
    """Output of a classify signature.

    Args:
        classes: Class names as bytes, shape (examples, classes); None if the signature has no such output.
        scores: Scores as float32, shape (examples, classes); None if the signature has no such output.
    """

    classes: np.ndarray | None
    scores: np.ndarray | None


class Inference:
    """Inference on the models of a manager.

    Args:
        models: Manager that holds the models.
        execution: Strategy that runs them.
        config: Limits of requests; None means the defaults.
        metrics: Metrics that record run times and numbers of examples; None records nothing.
        log: Log that stores a sample of the requests; None stores nothing.
    """

    def __init__(
        self,
        models: ModelManager,
        execution: Execution,
        config: ServerConfig | None = None,
        metrics: Metrics | None = None,
        log: RequestLog | None = None,
    ) -> None:
        self.models = models
        self.execution = execution
        config = config or ServerConfig()
        self._limits = Limits(config.max_batch_rows, config.max_image_pixels)
        self._metrics, self._log = metrics or Metrics(), log

    def acquire(self, spec: ModelSpec) -> AbstractContextManager[Handle]:
        """Returns a context that holds a version, which stays loaded until the context ends.

        Raises:
            ServingError: NOT_FOUND if no such version is available, INVALID_ARGUMENT for an unknown version label.
        """
        return self.models.acquire(spec)

    async def predict(
        self, held: Handle, signature: Signature, inputs: Mapping[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> Mapping[str, np.ndarray]:
        """Runs a signature of any method.

        Args:
            held: Version from `acquire`.
            signature: Signature of that version.
            inputs: Arrays by alias.
            output_filter: Aliases of the wanted outputs; empty means all.

        Returns:
            Arrays by alias, in the order of the signature.

        Raises:
            ServingError: Names, types or shapes do not match the signature, or TensorFlow reports an error.
        """
        wanted = _wanted_outputs(signature, output_filter)
        complete = complete_inputs(signature, inputs)
        outputs = await self._run("Predict", held, signature, complete, wanted)
        if self._log and self._log.sampled():
            self._log.predict(held, signature.name, complete, outputs)
        return outputs

    async def classify(self, held: Handle, signature: Signature, examples: Sequence[bytes]) -> Classification:
        """Runs a classify signature on serialized `tf.Example`s."""
        outputs = await self._on_examples("Classify", held, signature, examples, _class_outputs(signature))
        found = checked_classification(outputs, len(examples))
        if self._log and self._log.sampled():
            self._log.classify(held, signature.name, examples, found.classes, found.scores)
        return found

    async def regress(self, held: Handle, signature: Signature, examples: Sequence[bytes]) -> np.ndarray:
        """Runs a regress signature on serialized `tf.Example`s; returns float32 of shape (examples,)."""
        if list(signature.outputs) != [_OUTPUTS]:
            raise ServingError(Code.FAILED_PRECONDITION, _one_output(signature))
        outputs = await self._on_examples("Regress", held, signature, examples, [_OUTPUTS])
        values = checked_regressions(outputs[_OUTPUTS], len(examples))
        if self._log and self._log.sampled():
            self._log.regress(held, signature.name, examples, values)
        return values

    async def _on_examples(
        self, api: str, held: Handle, signature: Signature, examples: Sequence[bytes], outputs: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        if list(signature.inputs) != [_INPUTS]:
            raise ServingError(Code.FAILED_PRECONDITION, f"Expected one input Tensor. {_named(signature.inputs)}")
        if not examples:
            raise invalid("Input is empty")
        batch = np.empty(len(examples), object)
        batch[:] = examples
        self._metrics.observe(EXAMPLE_COUNTS, len(examples), model=held.name)
        return await self._run(api, held, signature, {_INPUTS: batch}, outputs)

    async def _run(
        self,
        api: str,
        held: Handle,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
    ) -> Mapping[str, np.ndarray]:
        self._limits.check(inputs)
        start = time.perf_counter()
        results = await self.execution.run(held.servable, signature, inputs, outputs)
        micros = (time.perf_counter() - start) * 1e6
        self._metrics.observe(RUNTIME_LATENCY, micros, model_name=held.name, API=api, runtime="TF1")
        return results


def complete_inputs(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a request's inputs in the signature's order, with defaults filled in and types checked.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    required = signature.inputs.keys()
    if not signature.defaults and len(inputs) != len(required):
        counts = f"{len(inputs)}!={len(required)} len({_set(inputs)}) != len({_set(required)})"
        extra, missing = _set(inputs.keys() - required), _set(required - inputs.keys())
        raise invalid(
            f"input size does not match signature: {counts}. Sent extra: {extra}. Missing but required: {missing}."
        )
    if unknown := inputs.keys() - required:
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {_set(inputs)}; not in the signature: {_set(unknown)}"
        )
    return {
        alias: _input(spec, inputs.get(alias, signature.defaults.get(alias)))
        for alias, spec in signature.inputs.items()
    }


def _input(spec: TensorSpec, value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise invalid(
            f"Signature input alias: {spec.alias}(feed name: {spec.tensor}) not found in request and no default value "
            "provided."
        )
    if value.dtype != spec.dtype:
        received = "string" if value.dtype == object else type_name(value.dtype.name)
        raise invalid(f"Expects arg[0] to be {spec.type_name} but {received} is provided (input {spec.alias})")
    return value


def _wanted_outputs(signature: Signature, output_filter: Sequence[str]) -> Sequence[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_set(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    # In the signature's order, because TensorFlow prepares each order separately.
    return tuple(alias for alias in signature.outputs if not seen or alias in seen)


def _class_outputs(signature: Signature) -> list[str]:
    found = [alias for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
    if not found or len(found) != len(signature.outputs):
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Expected classification signature outputs to contain at least one of "
            f'"classes" or "scores", and nothing else. {_named(signature.outputs)}',
        )
    return found


def checked_classification(outputs: Mapping[str, np.ndarray], examples: int) -> Classification:
    """Checks that classes and scores have the shape and the type that the protocol requires.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for array in (classes, scores):
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}")
        if len(array) != examples:
            raise invalid(f"Expected Tensor batch size of {examples}. Got: {list(array.shape)}")
    if classes is not None and classes.dtype != object:
        raise invalid(f"Expected classes Tensor of DT_STRING. Got: {classes.dtype}")
    if scores is not None and scores.dtype != np.float32:
        raise invalid(f"Expected scores Tensor of DT_FLOAT. Got: {scores.dtype}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(f"Tensors class and score should match in shape[1]. Got {classes.shape[1]} and {scores.shape[1]}")
    return Classification(classes, scores)


def checked_regressions(values: np.ndarray, examples: int) -> np.ndarray:
    """Checks the output of a regress signature and returns it as float32 of shape (examples,).

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        shape = list(values.shape)
        raise invalid(f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape}")
    if len(values) != examples:
        raise invalid(f"Input batch size did not match output batch size: {examples} vs. {len(values)}")
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT. Got: {values.dtype}")
    return values.reshape(-1)


def _one_output(signature: Signature) -> str:
    return f'Expected regression signature outputs to contain exactly "outputs". {_named(signature.outputs)}'


def _named(specs: Mapping[str, TensorSpec]) -> str:
    return f"Got: {_set(specs)}"


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
