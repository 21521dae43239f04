"""Pushed models on this host: which there are, and which version of each is the newest."""

from dataclasses import dataclass
from pathlib import Path

from components.errors import UsageError
from components.export.publishing import versions
from pipeline.home import Home
from pipeline.options.suggestions import did_you_mean, nearest


@dataclass(frozen=True)
class AnsweringModel:
    """One version of a model, on this host or on a model server.

    Args:
        name: Name of the model.
        version: Version of the model.

    Example:
        >>> AnsweringModel("digits", 1700000000).title
        'digits/1700000000'
    """

    name: str
    version: int

    @property
    def title(self) -> str:
        """Name on the screen: NAME/VERSION."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class PushedModel(AnsweringModel):
    """One version of a pushed model on this host.

    Args:
        name: Name of the model.
        version: Version of the model.
        folder: Folder of its SavedModel.
    """

    folder: Path


def pushed_models(home: Home, name: str | None = None, cure: str = "--home chooses another home") -> list[PushedModel]:
    """Returns the newest version of every pushed model, or of one, sorted by name.

    Args:
        home: Home folder of the runs.
        name: Name of the model; default, all models.
        cure: Second cure in the error of a home without any pushed model.

    Raises:
        UsageError: No model was pushed, or none of that name.
    """
    folders = sorted(home.serving.iterdir()) if home.serving.is_dir() else []
    newest = {folder.name: version for folder in folders if (version := newest_version(home, folder.name)) is not None}
    if not newest:
        raise UsageError(f"no model was pushed below {home.root} yet; `vision-tfx run` makes one, {cure}")
    if name is not None and name not in newest:
        meant = did_you_mean(nearest(name, newest))
        raise UsageError(f"there is no pushed model {name} in {home.serving}, only {', '.join(newest)}{meant}")
    return [pushed_model(home, each, newest[each]) for each in ([name] if name else newest)]


def newest_model(home: Home, name: str | None = None) -> PushedModel:
    """Returns the newest version of a model, by default of the model that was pushed last.

    Args:
        home: Home folder of the runs.
        name: Name of the model; default, the model pushed last.

    Raises:
        UsageError: No model was pushed, or none of that name.
    """
    # A version is the second of its push, so the largest number is the newest.
    return max(pushed_models(home, name), key=lambda model: model.version)


def newest_version(home: Home, name: str) -> int | None:
    """Returns the newest version of a model, which servers answer with; None if there is none."""
    return max(versions(home.serving / name), default=None)


def pushed_model(home: Home, name: str, version: int | str) -> PushedModel:
    """Returns one version of a model.

    Args:
        home: Home folder of the runs.
        name: Name of the model.
        version: Version of the model, as a number or as a user wrote it.

    Raises:
        UsageError: The model has no such version.
    """
    folder = home.serving / name
    known = versions(folder)
    if str(version) not in map(str, known):
        raise UsageError(f"{folder} has no version {version}; choose one of {', '.join(map(str, known))}")
    return PushedModel(name, int(version), folder / str(version))
