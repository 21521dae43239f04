"""Whitening: a linear map that makes the components of data uncorrelated, all of variance 1."""

from typing import Self

import numpy as np

from models.checks import check_choice


class Whitening:
    """Whitening of rows by y = (x - mean) M, with the covariance C = U diag(l) U' of the data it was fitted to.

    | kind | M | y |
    |---|---|---|
    | "zca" | U diag(l + e)^-1/2 U' | of all whitenings the closest to x (M is symmetric), so patches stay images |
    | "pca" | U diag(l + e)^-1/2 | coordinates along the principal components, by falling variance |

    where e is `regularization` times the mean variance. The covariance of y is the identity for e = 0; otherwise its
    eigenvalues are l / (l + e), so that directions of less variance than e are not amplified: they are noise or, if
    each patch had its mean subtracted, zero.

    Args:
        kind: "zca" or "pca".
        regularization: e over the mean variance, at least 0.

    Attributes:
        mean: Mean of the rows, shape (features,).
        matrix: M, shape (features, features).
        inverse_matrix: Inverse of M, same shape.

    Raises:
        ValueError: The kind is unknown or the regularization negative; in `fit`, the data are not rows, or their
            covariance is singular without regularization.

    Example:
        >>> rows = np.random.default_rng(1).normal(size=(100, 2)) @ [[2.0, 1.0], [0.0, 1.0]]
        >>> whitened = Whitening(regularization=0.0).fit(rows).transform(rows)
        >>> (np.cov(whitened.T, bias=True).round(6) + 0.0).tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    Source: Bell & Sejnowski, The "Independent Components" of Natural Scenes are Edge Filters, Vision Research 37
    (1997).
    """

    def __init__(self, kind: str = "zca", regularization: float = 0.01) -> None:
        check_choice("kind", kind, ("zca", "pca"))
        if regularization < 0:
            raise ValueError(f"`regularization` must be at least 0; received regularization={regularization}")
        self.kind = kind
        self.regularization = regularization

    def fit(self, rows: np.ndarray) -> Self:
        """Computes mean and matrices in double precision and returns this object.

        Args:
            rows: Shape (rows, features), at least two rows.
        """
        rows = np.asarray(rows)
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"expected at least two rows, of shape (rows, features); received shape {rows.shape}")
        self.mean = rows.mean(axis=0, dtype="float64")
        centered = rows - self.mean
        variances, directions = np.linalg.eigh(centered.T @ centered / len(rows))
        variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
        regular = variances + self.regularization * variances.mean()
        if regular[-1] <= variances[0] * len(variances) * np.finfo("float64").eps:
            raise ValueError(
                "the data have no variance in some direction, so they cannot be whitened without regularization; pass "
                f"a `regularization` above 0; received regularization={self.regularization}, variances from "
                f"{variances[-1]:.3g} to {variances[0]:.3g}"
            )
        back = directions.T if self.kind == "zca" else np.eye(len(variances))
        self.matrix = directions / np.sqrt(regular) @ back
        self.inverse_matrix = back.T * np.sqrt(regular) @ directions.T
        return self

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Whitens rows of shape (rows, features)."""
        return (rows - self.mean) @ self.matrix

    def inverse(self, whitened: np.ndarray) -> np.ndarray:
        """Inverts `transform` exactly, for every regularization: same shape."""
        return whitened @ self.inverse_matrix + self.mean
