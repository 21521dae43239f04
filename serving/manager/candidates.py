"""Search for versions that are ready to be loaded; versions that are still being written are left alone."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from serving.errors import Code, ServingError
from serving.manager.version_policy import VersionPolicy
from serving.manager.write_detection import WriteDetection
from serving.storage.completeness import Unfinished, unfinished
from serving.storage.file_systems import Files, Stamps, Storage

# A second look that comes early by the jitter of a timer still counts.
_EARLY = 0.9


@dataclass
class _Look:
    files: Files
    first: float  # monotonic time at which the files were first seen in this state
    changed: float  # monotonic time at which they reached this state
    settled: bool
    checked: bool = False  # whether the contents were checked for completeness
    unfinished: Unfinished | None = None


class Candidates:
    """Versions below one base path that are not loaded yet. Used by one thread.

    Args:
        storage: The base path.
        detection: Times after which files count as completely written.
    """

    def __init__(self, storage: Storage, detection: WriteDetection) -> None:
        self._storage, self._detection = storage, detection
        self._looks: dict[int, _Look] = {}

    def choose(
        self, folders: Mapping[int, str], policy: VersionPolicy, known: Callable[[int], bool]
    ) -> dict[int, Stamps | None]:
        """Returns the versions that a policy selects from the complete ones, with the stamps of their files.

        Args:
            folders: Folders of all versions by number.
            policy: Selects versions.
            known: Returns whether a version was chosen before and need not be looked at again; its stamps are None.
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

    def unready(self, versions: Collection[int]) -> dict[int, ServingError]:
        """Returns the reasons why versions are left alone, for the ones among `versions` that are."""
        return {version: _reason(look) for version, look in self._looks.items() if version in versions}

    def awaited(self, versions: Collection[int]) -> set[int]:
        """Returns the ones among `versions` that changed lately and may soon be complete."""
        now, patience = time.monotonic(), self._detection.patience_seconds
        return {
            version for version, look in self._looks.items() if version in versions and now - look.changed <= patience
        }

    def _ready(self, version: int, folder: str) -> bool:
        now = time.monotonic()
        try:
            files = self._storage.files(folder)
        except FileNotFoundError:  # removed or renamed at this moment
            self._looks.pop(version, None)
            return False
        look = self._looks.get(version)
        if look is None or look.files.stamps != files.stamps:
            age = files.age or 0.0
            settled = age > self._detection.quiet_seconds
            look = self._looks[version] = _Look(files, now, now - max(0.0, age), settled)
        elif now - look.first >= _EARLY * self._detection.recheck_seconds:
            look.settled = True
        if not look.settled:
            return False
        if not look.checked:
            look.unfinished = self._check(folder, files)
            look.checked = True
        if look.unfinished is None:
            return True
        return not look.unfinished.certain and now - look.changed > self._detection.patience_seconds

    def _check(self, folder: str, files: Files) -> Unfinished | None:
        try:
            return unfinished(self._storage.path(folder), files.sizes, lambda name: self._storage.read(folder, name))
        except Exception as error:  # a storage may raise anything; the error concerns this version only
            return Unfinished(f"cannot be read ({type(error).__name__}: {error})", certain=False)


def _reason(look: _Look) -> ServingError:
    if look.unfinished is None:
        return ServingError(Code.UNAVAILABLE, "the files are being written; the version is loaded once they settle")
    return ServingError(Code.NOT_FOUND, f"{look.unfinished.reason}; the version is loaded once it is complete")
