"""Labels of versions, such as "stable" and "canary"."""

from collections.abc import Callable, Iterable, Mapping

from serving.errors import Code, ServingError, invalid
from serving.manager.model_config import ModelConfig


class VersionLabels:
    """The labels of all models. Reading needs no lock.

    Args:
        for_unavailable: Whether a new label may name a version that is not available.
    """

    def __init__(self, for_unavailable: bool = False) -> None:
        self._for_unavailable = for_unavailable
        self._versions: Mapping[tuple[str, str], int] = {}

    def version(self, model: str, label: str) -> int:
        """The version of a label.

        Raises:
            ServingError: INVALID_ARGUMENT for an unknown label.
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
            models: With the labels that they shall have.
            available: Whether a version of a model is.

        Raises:
            ServingError: FAILED_PRECONDITION.
        """
        for (model, label), version in _all(models).items():
            is_new = self._versions.get((model, label), version) == version
            if not available(model, version) and not (self._for_unavailable and is_new):
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {model}, which is not currently available "
                    f"for inference (label {label})",
                )

    def move(self, models: Iterable[ModelConfig], available: Callable[[str, int], bool]) -> None:
        """Moves those labels whose version is available already, so that none waits where it was for slower ones."""
        ready = {key: version for key, version in _all(models).items() if available(key[0], version)}
        self._versions = {**self._versions, **ready}

    def replace(self, models: Iterable[ModelConfig], available: Callable[[str, int], bool]) -> None:
        """Makes these the labels, and no others.

        Raises:
            ServingError: As `check`; nothing has changed then.
        """
        models = list(models)
        self.check(models, available)
        self._versions = _all(models)


def _all(models: Iterable[ModelConfig]) -> dict[tuple[str, str], int]:
    return {(model.name, label): version for model in models for label, version in model.labels.items()}
