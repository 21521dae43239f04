"""Version labels, such as "stable" and "canary", that an operator moves between versions."""

from collections.abc import Callable, Iterable, Mapping

from serving.errors import Code, ServingError, invalid
from serving.manager.model_config import ModelConfig


class VersionLabels:
    """Version labels of all models. Reads need no lock.

    Args:
        allow_unavailable: Whether a new label may name a version that is not available.

    Example:
        >>> labels = VersionLabels()
        >>> labels.replace([ModelConfig("m", "/m", labels={"stable": 3})], available=lambda model, version: True)
        >>> labels.version("m", "stable")
        3
        >>> labels.version("m", "canary")
        Traceback (most recent call last):
        serving.errors.ServingError: Unrecognized servable version label: canary; model m has stable
    """

    def __init__(self, allow_unavailable: bool = False) -> None:
        self._allow_unavailable = allow_unavailable
        self._versions: Mapping[tuple[str, str], int] = {}

    def version(self, model: str, label: str) -> int:
        """Returns the version that a label names.

        Raises:
            ServingError: INVALID_ARGUMENT: The label is unknown.
        """
        try:
            return self._versions[model, label]
        except KeyError:
            known = sorted(name for owner, name in self._versions if owner == model)
            hint = f"; model {model} has {', '.join(known)}" if known else ""
            raise invalid(f"Unrecognized servable version label: {label}{hint}") from None

    def check(self, models: Iterable[ModelConfig], available: Callable[[str, int], bool]) -> None:
        """Refuses labels of versions that are not available.

        Args:
            models: Models with their intended labels.
            available: Returns whether a version of a model is available.

        Raises:
            ServingError: FAILED_PRECONDITION: A label names a version that is not available.
        """
        for (model, label), version in _all(models).items():
            is_new = self._versions.get((model, label), version) == version
            if not available(model, version) and not (self._allow_unavailable and is_new):
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {model}, which is not currently available "
                    f"for inference (label {label})",
                )

    def move(self, models: Iterable[ModelConfig], available: Callable[[str, int], bool]) -> None:
        """Moves the labels whose new version is already available, so that they do not wait for slower models."""
        ready = {key: version for key, version in _all(models).items() if available(key[0], version)}
        self._versions = {**self._versions, **ready}

    def replace(self, models: Iterable[ModelConfig], available: Callable[[str, int], bool]) -> None:
        """Replaces all labels.

        Raises:
            ServingError: As `check`; the labels are then unchanged.
        """
        models = list(models)
        self.check(models, available)
        self._versions = _all(models)


def _all(models: Iterable[ModelConfig]) -> dict[tuple[str, str], int]:
    return {(model.name, label): version for model in models for label, version in model.labels.items()}
