"""Conversion of the errors of disks, of TensorFlow's writer and of Beam into errors for users."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from components import errors
from components.disk import is_full
from components.errors import VisionTfxError

_BEAM_SUFFIX = " [while running"  # Beam appends the name of its step to the message of every error


@contextmanager
def user_errors(destination: Path) -> Iterator[None]:
    """Converts errors that the block raises while writing into errors with a message for users.

    Args:
        destination: Folder that the block writes to, named in the message.

    Raises:
        VisionTfxError: The disk is full or refused the write, or the block raised this error in a Beam step; the name
            of the step is removed from the message.
    """
    try:
        yield
    except VisionTfxError as error:
        raise type(error)(str(error).partition(_BEAM_SUFFIX)[0]) from error
    except (OSError, tf.errors.OpError) as error:
        raise VisionTfxError(_message(destination, error)) from error
    except RuntimeError as error:  # Beam passes on an error of another process as text
        if found := re.search(rf"components\.errors\.(\w+): (.*?)(?:{re.escape(_BEAM_SUFFIX)}|\n|$)", str(error)):
            raise getattr(errors, found[1])(found[2]) from error
        raise


def _message(destination: Path, error: Exception) -> str:
    if is_full(error):
        return f"the disk of {destination} is full; free some space, or choose another disk with --home"
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return f"cannot write {destination}: {reason}; choose a writable folder with --home"
