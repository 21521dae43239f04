"""Replays the requests stored in a SavedModel: `python -m serving.replay MODEL_FOLDER`."""

import sys

import tensorflow as tf

from serving.replay.model_server import replay_through_server
from serving.replay.saved_model import ReplayError, replay


def main() -> int:
    """Replays the requests on the SavedModel, then through the model server, and prints one line.

    Returns:
        The exit code: 0 if every response agrees with the stored one, else 1.
    """
    try:
        counts = replay(sys.argv[1])
        served = replay_through_server(sys.argv[1])
    except (ReplayError, OSError, ValueError, tf.errors.OpError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    replayed = ", ".join(f"{signature}: {count}" for signature, count in counts.items())
    print(f"responses that agree with the trainer's: {replayed}; through the model server: {served}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
