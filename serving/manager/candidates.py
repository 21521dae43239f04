"""Finds out which versions of a model lie ready to be loaded, and leaves alone what is still being written."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from serving.errors import Code, ServingError
from serving.manager.version_policy import VersionPolicy
from serving.storage.completeness import Unfinished, unfinished
from serving.storage.file_systems import Files, Stamps, Storage

# Files that nobody has touched for so long are taken as they are; younger ones have to look the same twice.
QUIET_SECONDS = 2.0
SECOND_LOOK_SECONDS = 0.5
# A folder that is incomplete and has not changed for so long is not waited for (it is loaded all the same when it is
# complete some day), and one that is merely strange is given to TensorFlow to judge.
PATIENCE_SECONDS = 10.0


@dataclass
class _Look:
    files: Files
    first: float  # when they were first seen so, on the monotonic clock
    changed: float  # when they became so
    settled: bool
    read: bool = False  # whether the contents were looked at
    lacks: Unfinished | None = None


class Candidates:
    """The versions of one base path that are not loaded. Used by one thread.

    Args:
        storage: The base path.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._looks: dict[int, _Look] = {}

    def choose(
        self, folders: Mapping[int, str], policy: VersionPolicy, known: Callable[[int], bool]
    ) -> dict[int, Stamps | None]:
        """The versions that a policy wants of those that are complete, with their files as they are now.

        Args:
            folders: All versions that were found.
            policy: Chooses.
            known: Whether a version was chosen before and is not to be looked at again; it comes without its files.
        """
        for gone in self._looks.keys() - folders.keys():
            del self._looks[gone]
        usable, ready = set(folders), set[int]()
        while True:
            wanted = policy.choose(usable)
            ready |= {version for version in wanted - ready if known(version) or self._ready(version, folders[version])}
            if wanted <= ready:
                looks = {version: self._looks.pop(version, None) for version in wanted}
                return {version: look.files.stamps if look else None for version, look in looks.items()}
            usable -= wanted - ready

    def _ready(self, version: int, folder: str) -> bool:
        now = time.monotonic()
        try:
            files = self._storage.files(folder)
        except FileNotFoundError:  # removed, or renamed, at this moment
            self._looks.pop(version, None)
            return False
        look = self._looks.get(version)
        if look is None or look.files.stamps != files.stamps:
            age = files.age or 0.0
            look = self._looks[version] = _Look(files, now, now - max(0.0, age), age > QUIET_SECONDS)
        elif now - look.first >= 0.9 * SECOND_LOOK_SECONDS:
            look.settled = True
        if not look.settled:
            return False
        if not look.read:
            look.lacks = self._lacks(folder, files)
            look.read = True
        return look.lacks is None or (not look.lacks.certain and now - look.changed > PATIENCE_SECONDS)

    def _lacks(self, folder: str, files: Files) -> Unfinished | None:
        try:
            return unfinished(self._storage.path(folder), files.sizes, lambda name: self._storage.read(folder, name))
        except Exception as error:  # whatever a storage may raise: it concerns this version only
            return Unfinished(f"it cannot be read ({type(error).__name__}: {error})", certain=False)

    def lacking(self, versions: Collection[int]) -> dict[int, ServingError]:
        """Why some versions are left alone, for those of them that are."""
        return {version: _why(look) for version, look in self._looks.items() if version in versions}

    def awaited(self, versions: Collection[int]) -> set[int]:
        """Those of some versions that may be complete soon: they changed lately."""
        now = time.monotonic()
        return {
            version
            for version, look in self._looks.items()
            if version in versions and now - look.changed <= PATIENCE_SECONDS
        }


def _why(look: _Look) -> ServingError:
    if look.lacks is None:
        return ServingError(Code.UNAVAILABLE, "its files are being written; it is left alone until they stop changing")
    return ServingError(Code.NOT_FOUND, f"{look.lacks.reason}; it is left alone until it is complete")
