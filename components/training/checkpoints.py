"""Checkpoints: a training that was killed goes on where it was, to the same weights bit for bit.

TFX deletes the outputs of a station that failed, so they live outside the artifacts, in the home, under a key made of
everything that decides the training: configuration, data and source. They are gone when the training is done.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from components import environment
from components.ingest.manifest import MANIFEST_FILE
from components.interruption import held
from components.training.plateau import Plateau

# A net of MNIST's size takes 0.05 s to write, an AlexNet with its velocity and its best weights, 720 MB, seconds.
_SECONDS_BETWEEN = 60.0
_LARGEST_SHARE = 0.02  # of the time that may go into writing
_log = logging.getLogger(__name__)


class Checkpoint:
    """The saved state of one training, which may have several parts (layers, stages) one after the other.

    Args:
        folder: Where it is kept; none keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._saved_at, self._cost = time.monotonic(), 0.0
        saved = self._read()[0] if self._file and self._file.is_file() else None
        self.position = saved and saved[:2]
        self._steps = saved[2] if saved else 0

    @property
    def _file(self) -> Path | None:
        return self._folder and self._folder / "state.npz"

    def epochs_done(self, part: str) -> int:
        """Epochs of `part` that need not be done again; 0 if another part, or nothing, was saved."""
        return self.position[1] if self.position and self.position[0] == part else 0

    def steps_done(self, part: str) -> int:
        """Updates of the epoch after `epochs_done` that need not be done again; 0 after whole epochs."""
        return self._steps if self.position and self.position[0] == part else 0

    def is_due(self) -> bool:
        """Whether a minute has passed since the last time, or longer where writing takes more than a second."""
        wait = max(_SECONDS_BETWEEN, self._cost / _LARGEST_SHARE)
        return self._folder is not None and time.monotonic() - self._saved_at >= wait

    def save(self, part: str, epoch: int, arrays: Sequence[np.ndarray], facts: dict, steps: int = 0) -> None:
        """Writes the state by one rename, so that a kill leaves the one before.

        Args:
            part: Name of the part.
            epoch: Epochs done in it.
            arrays: In an order that is the same in every process.
            facts: Anything else that JSON can hold.
            steps: Updates done in the epoch after those.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        beside, began = self._folder / "state.part.npz", time.monotonic()
        state = json.dumps({"part": part, "epoch": epoch, "steps": steps, "facts": facts})
        with held():
            np.savez(beside, state=state, **{str(i): array for i, array in enumerate(arrays)})
            beside.replace(self._file)
        self.position, self._steps = (part, epoch), steps
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - began

    def load(self) -> tuple[list[np.ndarray], dict]:
        """The arrays and facts that were saved last; only where there is a `position`."""
        _, arrays, facts = self._read()
        return arrays, facts

    def clear(self) -> None:
        """Forgets everything: the training is done."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> tuple[tuple[str, int, int], list[np.ndarray], dict]:
        with np.load(self._file) as stored:
            state = json.loads(str(stored["state"]))
            position = (state["part"], state["epoch"], state.get("steps", 0))
            return position, [stored[str(i)] for i in range(len(stored) - 1)], state["facts"]


def station_checkpoint(station: str, examples_uri: str, *decisive: str) -> Checkpoint:
    """The checkpoint of a station's training, in the folder that the runner exports; without one, nothing is kept.

    Args:
        station: Name of the station.
        examples_uri: The Examples artifact; its manifest stands for the data.
        *decisive: What else decides the training: configuration as JSON, fingerprint of the source.
    """
    root = os.environ.get(environment.CHECKPOINT_DIR)
    if not root:
        return Checkpoint()
    digest = hashlib.sha256(Path(examples_uri, MANIFEST_FILE).read_bytes())
    for text in decisive:
        digest.update(text.encode() + b"\0")
    return Checkpoint(Path(root, f"{station}-{digest.hexdigest()[:16]}"))


class KeepBest(keras.callbacks.EarlyStopping):
    """Stops after `patience` epochs without a better value, and ends with the weights of the best epoch.

    Args:
        monitor: Name in the logs; lower is better.
        patience: In epochs.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, mode="min", patience=patience, restore_best_weights=True)
        self.unfinished = False
        self._begun = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets everything, but not where the `fit` goes on with a training that an earlier one began."""
        if not self._begun:
            super().on_train_begin(logs)
            self._begun = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Ends with the best weights, but not while `unfinished`: another `fit` goes on with the training."""
        if not self.unfinished:
            super().on_train_end(logs)

    _FACTS = ("best", "wait", "best_epoch")

    def state(self) -> tuple[list[np.ndarray], dict]:
        """The best weights and the counters."""
        return self.best_weights or [], {key: getattr(self, key) for key in self._FACTS}

    def set_state(self, arrays: list[np.ndarray], facts: dict) -> None:
        """Takes back what `state` gave."""
        self.best_weights = arrays or None
        for key in self._FACTS:
            setattr(self, key, facts[key])


class Resume(keras.callbacks.Callback):
    """Saves what a `fit` needs to go on, at the end of an epoch or within it, and restores it at its beginning.

    Pass `checkpoint.epochs_done(part)` to `fit` as `initial_epoch`, and this callback as the last one. Where it saves
    within epochs, whoever resumes leaves out the first `checkpoint.steps_done(part)` batches of that epoch.

    Args:
        checkpoint: Where the state is kept.
        part: Name of this `fit` within the training.
        also: Models whose weights belong to the state beside the fitted one, such as the layers below.
        best: The callback that remembers the best weights, if there is one.
        plateau: The callback that lowers the learning rate, if there is one.
        within_epochs: Whether it saves between two updates too: an epoch of ImageNet takes hours.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        part: str,
        also: Sequence[keras.Model] = (),
        best: KeepBest | None = None,
        plateau: Plateau | None = None,
        within_epochs: bool = False,
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._part = part
        self._also = also
        self._best = best
        self._plateau = plateau
        self._within_epochs = within_epochs
        self._epoch, self._steps_before = 0, 0
        self._restored = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restores the state, if this part was saved."""
        self._steps_before = 0 if self._restored else self._checkpoint.steps_done(self._part)
        if self._restored or not (self._steps_before or self._checkpoint.epochs_done(self._part)):
            return
        self._restored = True
        variables = self._variables()
        arrays, facts = self._checkpoint.load()
        for variable, array in zip(variables, arrays, strict=False):
            variable.assign(array)
        if self._best is not None:
            self._best.set_state(arrays[len(variables) :], facts)
        if self._plateau is not None:
            self._plateau.set_state(facts["plateau"])
        _log.info("%s goes on after epoch %d.", self._part, self._checkpoint.epochs_done(self._part))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Saves the state when it is time to, if within an epoch.

        Not after its last update, which the end of the epoch follows: going on with no batch left would skip that
        epoch's record, and draw random numbers for an update that never comes.
        """
        if self._within_epochs and batch + 1 != self.params.get("steps"):
            self._save_if_due(self._epoch, self._steps_before + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the state when it is time to."""
        self._steps_before = 0
        self._save_if_due(epoch + 1, 0)

    def _save_if_due(self, epochs: int, steps: int) -> None:
        if self._checkpoint.is_due():
            best, facts = self._best.state() if self._best is not None else ([], {})
            if self._plateau is not None:
                facts = facts | {"plateau": self._plateau.state()}
            arrays = [variable.numpy() for variable in self._variables()]
            self._checkpoint.save(self._part, epochs, [*arrays, *best], facts, steps)

    def _variables(self) -> list:
        """Weights, states of random numbers and of the optimizer; metrics are left out, since they begin anew."""
        self.model.optimizer.build(self.model.trainable_variables)
        variables = []
        for model in (*self._also, self.model):
            metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
            variables += [variable for variable in model.variables if id(variable) not in metrics]
        return [*variables, *self.model.optimizer.variables]
