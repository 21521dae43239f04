"""Whitening: a linear map that makes the components of data uncorrelated, all of variance 1."""

import numpy as np

from models.fitting.closed_form import check_choice


class Whitening:
    """Whitens rows by y = (x - mean) M, with the covariance C = U diag(l) U' of the data it was fitted to.

    | kind | M | what y looks like |
    |---|---|---|
    | "zca" | U diag(l + e)^-1/2 U' | the symmetric one: of all whitenings, y is nearest to x, so patches stay images |
    | "pca" | U diag(l + e)^-1/2 | coordinates along the principal components, by falling variance |

    where e is `regularization` times the mean variance. The covariance of y is the identity for e = 0; otherwise its
    eigenvalues are l / (l + e), so that directions of less variance than e are not blown up: they are noise or, when
    each patch had its mean subtracted, nothing at all.

    Args:
        kind: "zca" or "pca".
        regularization: e over the mean variance, at least 0.

    Attributes:
        mean: Shape (features,).
        matrix: M, shape (features, features).
        inverse_matrix: The inverse of M, same shape.

    Raises:
        ValueError: An unknown kind or a negative regularization; fitted data that are not rows, or whose covariance is
            singular while nothing regularises it.

    Source: Bell & Sejnowski, The "Independent Components" of Natural Scenes are Edge Filters, Vision Research 37
    (1997).
    """

    def __init__(self, kind="zca", regularization=0.01):
        check_choice("kind", kind, ("zca", "pca"))
        if regularization < 0:
            raise ValueError(f"`regularization` must be at least 0. Received: regularization={regularization}")
        self.kind = kind
        self.regularization = regularization

    def fit(self, rows):
        """Finds mean and matrices in double precision; returns itself.

        Args:
            rows: Shape (rows, features), at least two rows.
        """
        rows = np.asarray(rows)
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"Expected at least two rows, of shape (rows, features). Received: shape {rows.shape}")
        self.mean = rows.mean(axis=0, dtype="float64")
        centered = rows - self.mean
        variances, directions = np.linalg.eigh(centered.T @ centered / len(rows))
        variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
        regular = variances + self.regularization * variances.mean()
        if regular[-1] <= variances[0] * len(variances) * np.finfo("float64").eps:
            raise ValueError(
                "The data have no variance in some direction, so they cannot be whitened as they are. Pass a "
                f"`regularization` above 0. Received: regularization={self.regularization}, variances from "
                f"{variances[-1]:.3g} to {variances[0]:.3g}"
            )
        back = directions.T if self.kind == "zca" else np.eye(len(variances))
        self.matrix = directions / np.sqrt(regular) @ back
        self.inverse_matrix = back.T * np.sqrt(regular) @ directions.T
        return self

    def transform(self, rows):
        """Whitens rows of shape (rows, features)."""
        return (rows - self.mean) @ self.matrix

    def inverse(self, whitened):
        """Undoes `transform`, exactly, whatever the regularization: same shape."""
        return whitened @ self.inverse_matrix + self.mean
