"""Deep belief nets with labels, trained by the up-down algorithm."""

from models.up_down.label_dbn import LabelDBN

__all__ = ["LabelDBN"]
