"""What digit an image shows, read from a Gram matrix alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def centroid_accuracy(gram: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """
    Share of images that lie nearest to the centroid of their own class, each left out of its own centroid.

    Parameters
    ----------
    gram : ndarray, shape (m, m)
        Inner products of the images' representations; that is all a nearest-centroid read-out needs.
    labels : ndarray, shape (m,)
        Class of each image; every class has at least two images.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    Two classes on a line, at 0 and 1 and at 10 and 11:

    >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> centroid_accuracy(x @ x.T, np.array([0, 0, 1, 1]))
    1.0
    """
    classes = np.unique(labels)
    member = (labels[:, None] == classes).astype(float)
    own = np.diag(gram)[:, None]
    # Sums over each class as image i sees it: without image i, where it is a member itself.
    sizes = member.sum(0) - member
    sums = gram @ member
    norms = np.sum(member * sums, axis=0) - member * (2 * sums - own)
    # |x_i - centroid|^2 up to |x_i|^2, which is the same for all classes.
    squares = norms / sizes**2 - 2 * (sums - member * own) / sizes
    return float(np.mean(classes[squares.argmin(1)] == labels))


def neighbor_accuracy(gram: NDArray[np.float64], labels: NDArray[np.int64], k: int = 5) -> float:
    """
    Share of images whose k nearest other images vote for their own class.

    Parameters
    ----------
    gram : ndarray, shape (m, m)
        Inner products of the images' representations.
    labels : ndarray, shape (m,)
        Class of each image.
    k : int
        Number of neighbors; a tie goes to the smaller class.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> neighbor_accuracy(x @ x.T, np.array([0, 0, 1, 1]), k=1)
    1.0
    """
    squares = np.diag(gram)
    distances = squares[:, None] + squares - 2 * gram
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    votes = (labels[nearest][:, :, None] == np.unique(labels)).sum(1)
    return float(np.mean(np.unique(labels)[votes.argmax(1)] == labels))
