"""Checkpoints: a training that was killed resumes where it stopped and ends with the same weights bit for bit.

TFX deletes the outputs of a failed node, so checkpoints live outside the artifacts, in the home, under a key made of
everything that decides the training: configuration, data and source. They are deleted when the training is complete.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components import environment
from components.ingest.manifest import MANIFEST_FILE
from components.interruption import signals_deferred
from components.training.plateau import Plateau

# A net of MNIST's size takes 0.05 s to write, an AlexNet with its velocity and its best weights, 720 MB, seconds.
_SECONDS_BETWEEN = 60.0
_LARGEST_SHARE = 0.02
_STATE_FILE = "state.npz"
_log = logging.getLogger(__name__)


class Checkpoint:
    """The saved state of one training, which may have several parts (layers, stages) one after the other.

    Args:
        folder: Folder of the state; None saves nothing.
        seconds_between: Shortest time between two saves, in seconds.
        largest_share: Largest share of the time that may be spent on writing, above 0; inf sets no limit.
        clock: Returns the time in seconds.

    Example:
        >>> checkpoint = Checkpoint(Path("checkpoints"))
        >>> checkpoint.save("layer 1", 3, [np.ones(2)], {"best": 0.5})
        >>> resumed = Checkpoint(Path("checkpoints"))
        >>> resumed.epochs_done("layer 1"), resumed.epochs_done("layer 2")
        (3, 0)
        >>> resumed.load()
        ([array([1., 1.])], {'best': 0.5})
    """

    def __init__(
        self,
        folder: Path | None = None,
        seconds_between: float = _SECONDS_BETWEEN,
        largest_share: float = _LARGEST_SHARE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._seconds_between, self._largest_share, self._clock = seconds_between, largest_share, clock
        self._saved_at, self._cost = clock(), 0.0
        self.position: tuple[str, int] | None = None
        self._steps = 0
        if folder is not None and (folder / _STATE_FILE).is_file():
            self.position, self._steps, _, _ = _read(folder / _STATE_FILE)

    def epochs_done(self, part: str) -> int:
        """Returns the number of finished epochs of `part`; 0 when nothing or another part was saved."""
        return self.position[1] if self.position and self.position[0] == part else 0

    def steps_done(self, part: str) -> int:
        """Returns the number of finished updates of the epoch after `epochs_done`; 0 after a whole epoch."""
        return self._steps if self.position and self.position[0] == part else 0

    def is_due(self) -> bool:
        """Returns whether `seconds_between` have passed since the last save, or longer when writing is slow."""
        wait = max(self._seconds_between, self._cost / self._largest_share)
        return self._folder is not None and self._clock() - self._saved_at >= wait

    def save(
        self, part: str, epoch: int, arrays: Sequence[np.ndarray], metadata: dict[str, Any], steps: int = 0
    ) -> None:
        """Writes the state and renames it into place, so that a kill leaves the previous state.

        Args:
            part: Name of the part.
            epoch: Number of finished epochs of the part.
            arrays: Arrays in an order that is the same in every process.
            metadata: Further values that JSON can hold.
            steps: Number of finished updates of the epoch after those.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        aside, began = self._folder / "state.part.npz", self._clock()
        state = json.dumps({"part": part, "epoch": epoch, "steps": steps, "metadata": metadata})
        with signals_deferred():
            np.savez(aside, *arrays, state=np.array(state))
            aside.replace(self._folder / _STATE_FILE)
        self.position, self._steps = (part, epoch), steps
        self._saved_at = self._clock()
        self._cost = self._saved_at - began

    def load(self) -> tuple[list[np.ndarray], dict[str, Any]]:
        """Returns the arrays and metadata that were saved last.

        Raises:
            ValueError: Nothing was saved; `position` is None then.
        """
        if self._folder is None or self.position is None:
            raise ValueError("the checkpoint is empty; check `position` first")
        _, _, arrays, metadata = _read(self._folder / _STATE_FILE)
        return arrays, metadata

    def clear(self) -> None:
        """Deletes the state, because the training is complete."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _read(file: Path) -> tuple[tuple[str, int], int, list[np.ndarray], dict[str, Any]]:
    with np.load(file) as stored:
        state = json.loads(str(stored["state"]))
        arrays = [stored[f"arr_{i}"] for i in range(len(stored) - 1)]
    return (state["part"], state["epoch"]), state["steps"], arrays, state["metadata"]


def station_checkpoint(station: str, examples_uri: str, *decisive: str) -> Checkpoint:
    """Returns the checkpoint of a node's training, in the folder that the runner exports.

    Args:
        station: Name of the node.
        examples_uri: Folder of the Examples artifact; its manifest stands for the data.
        *decisive: Everything else that decides the training: configuration as JSON, fingerprint of the source.

    Returns:
        A checkpoint that saves nothing when the runner exported no folder.
    """
    root = os.environ.get(environment.CHECKPOINT_DIR)
    if not root:
        return Checkpoint()
    digest = hashlib.sha256(Path(examples_uri, MANIFEST_FILE).read_bytes())
    for text in decisive:
        digest.update(text.encode() + b"\0")
    return Checkpoint(Path(root, f"{station}-{digest.hexdigest()[:16]}"))


class KeepBest(keras.callbacks.EarlyStopping):
    """Stops after `patience` epochs without improvement, and restores the weights of the best epoch.

    Args:
        monitor: Name of the metric in the logs; lower is better.
        patience: Number of epochs without improvement before the training stops.
    """

    _COUNTERS = ("best", "wait", "best_epoch")

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, mode="min", patience=patience, restore_best_weights=True)
        self.unfinished = False
        self._begun = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Resets the state, unless this `fit` resumes an earlier one."""
        if not self._begun:
            super().on_train_begin(logs)
            self._begun = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Restores the best weights, except while `unfinished`: another `fit` continues the training."""
        if not self.unfinished:
            super().on_train_end(logs)

    def state(self) -> tuple[list[np.ndarray], dict[str, Any]]:
        """Returns the best weights and the counters."""
        return self.best_weights or [], {key: getattr(self, key) for key in self._COUNTERS}

    def set_state(self, arrays: list[np.ndarray], counters: dict[str, Any]) -> None:
        """Restores the weights and counters that `state` returned."""
        self.best_weights = arrays or None
        for key in self._COUNTERS:
            setattr(self, key, counters[key])


class Resume(keras.callbacks.Callback):
    """Saves the state of a `fit` at the end of an epoch or within it, and restores it when `fit` begins again.

    Pass `checkpoint.epochs_done(part)` to `fit` as `initial_epoch`, and this callback as the last one. With
    `within_epochs`, skip the first `checkpoint.steps_done(part)` batches of that epoch when resuming.

    Args:
        checkpoint: Where the state is saved.
        part: Name of this `fit` within the training.
        also: Models whose weights belong to the state beside the fitted model, such as the layers below.
        best: Callback that holds the best weights; None if `fit` has none.
        plateau: Callback that lowers the learning rate; None if `fit` has none.
        within_epochs: Whether to save between two updates as well: an epoch of ImageNet takes hours.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse", jit_compile=False)
        >>> checkpoint = Checkpoint(Path("checkpoint"), seconds_between=0, largest_share=float("inf"))
        >>> callbacks = [Resume(checkpoint, "line")]
        >>> _ = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, callbacks=callbacks, verbose=0)
        >>> Checkpoint(Path("checkpoint")).epochs_done("line")
        2
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
        """Restores the state if this part was saved."""
        self._steps_before = 0 if self._restored else self._checkpoint.steps_done(self._part)
        if self._restored or not (self._steps_before or self._checkpoint.epochs_done(self._part)):
            return
        self._restored = True
        variables = self._variables()
        arrays, metadata = self._checkpoint.load()
        for variable, array in zip(variables, arrays, strict=False):
            variable.assign(array)
        if self._best is not None:
            self._best.set_state(arrays[len(variables) :], metadata)
        if self._plateau is not None:
            self._plateau.set_state(metadata["plateau"])
        _log.info("%s resumes after epoch %d", self._part, self._checkpoint.epochs_done(self._part))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Saves the state within an epoch when a save is due.

        Not after the last update, because `on_epoch_end` follows: resuming without a batch left would skip that
        epoch's record, and draw random numbers for an update that never comes.
        """
        if self._within_epochs and batch + 1 != self.params.get("steps"):
            self._save_if_due(self._epoch, self._steps_before + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the state when a save is due."""
        self._steps_before = 0
        self._save_if_due(epoch + 1, 0)

    def _save_if_due(self, epochs: int, steps: int) -> None:
        if self._checkpoint.is_due():
            best, metadata = self._best.state() if self._best is not None else ([], {})
            if self._plateau is not None:
                metadata = metadata | {"plateau": self._plateau.state()}
            arrays = [variable.numpy() for variable in self._variables()]
            self._checkpoint.save(self._part, epochs, [*arrays, *best], metadata, steps)

    def _variables(self) -> list[keras.Variable]:
        """Returns weights, states of random numbers and of the optimizer; metrics restart in every epoch."""
        self.model.optimizer.build(self.model.trainable_variables)
        variables = []
        for model in (*self._also, self.model):
            metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
            variables += [variable for variable in model.variables if id(variable) not in metrics]
        return [*variables, *self.model.optimizer.variables]
