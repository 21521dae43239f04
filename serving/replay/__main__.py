"""Replays a SavedModel's stored requests: `python -m serving.replay MODEL_FOLDER`, in a process of its own."""

import sys

import tensorflow as tf

from serving.replay.model_server import replay_through_server
from serving.replay.saved_model import ReplayError, replay


def main() -> int:
    """Replays on the SavedModel, then through the model server; prints one line.

    Returns:
        The exit code: 0 if every answer agrees with the stored one, else 1.
    """
    try:
        counts = replay(sys.argv[1])
        served = replay_through_server(sys.argv[1])
    except (ReplayError, OSError, ValueError, tf.errors.OpError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    asked = ", ".join(f"{signature}: {count}" for signature, count in counts.items())
    print(f"requests answered as by the trainer: {asked}; through the model server: {served}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
