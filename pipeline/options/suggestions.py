"""Suggestions for misspelled names: `; did you mean --training.epochs?`."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Returns the known names that a misspelled one may stand for.

    Args:
        name: Misspelled name, such as "epochs" or "model.hiden_units".
        known: Names to choose from; their parts are separated by dots.

    Returns:
        At most 3 names, best first: those with the same last part if there are any, otherwise those with a similar
        spelling.

    Example:
        >>> nearest("epochs", ["training.epochs", "training.patience", "model.pretraining.epochs"])
        ['training.epochs', 'model.pretraining.epochs']
        >>> nearest("digit-dbn", ["digits-dbn", "mnist-dbn"])
        ['digits-dbn']
    """
    known = list(known)
    leaves = {each: each.rpartition(".")[2] for each in known}
    leaf = name.rpartition(".")[2]
    same = [each for each in known if leaves[each] == leaf]
    if same:
        return difflib.get_close_matches(name, same, n=3, cutoff=0.0)
    similar = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if similar:
        return similar
    close = difflib.get_close_matches(leaf, leaves.values(), n=1, cutoff=0.6)
    return [each for each in known if leaves[each] in close][:3]


def did_you_mean(candidates: Iterable[str]) -> str:
    """Returns the end of an error message that suggests candidates; an empty string if there are none.

    Example:
        >>> did_you_mean(["run", "rollback"])
        '; did you mean run or rollback?'
    """
    text = " or ".join(candidates)
    return f"; did you mean {text}?" if text else ""
