"""Distances of all pairs of networks, by fitting and scoring each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from repsim_geo.errors import ShapeError

Array = np.ndarray


class Pairs:
    """Distances of all pairs of a list, on the data of the fit and on others."""

    def pairwise_distances(
        self,
        train_data: Sequence[Any],
        test_data: Sequence[Any] | None = None,
        processes: int | None = None,
        verbose: bool = True,
    ) -> tuple[Array, Array]:
        """
        Distances of all pairs of networks.

        Parameters
        ----------
        train_data : sequence of n networks
        test_data : sequence of n networks, optional
            Evaluate the alignments of `train_data` on these too.
        processes : int, optional
        verbose : bool
            Both are taken for the sake of scripts, and do nothing: pairs are computed in this process, and
            nothing is printed. `repsim_geo.pairwise` has workers and progress bars.

        Returns
        -------
        ndarray, shape (n, n)
        ndarray, shape (n, n)
            On `test_data`; infinite off the diagonal without them.
        """
        if test_data is not None:
            return all_pairs(self, train_data, test_data)
        table = all_pairs(self, train_data, None)[0]
        return table, np.where(np.eye(len(table), dtype=bool), 0.0, np.inf)


def all_pairs(
    metric: Any, train: Sequence[Any], test: Sequence[Any] | None, others: tuple[Any, Any] | None = None
) -> tuple[Array, Array]:
    """
    Fit a metric to pairs of networks, and score it on them and on test data.

    Parameters
    ----------
    metric : object with ``fit`` and ``score``
    train : sequence of n networks
    test : sequence of n networks, optional
    others : pair of sequences of k networks, or None
        Compare with these instead: for the fit, and for the test or None.

    Returns
    -------
    ndarray, shape (n, n) or (n, k)
    ndarray, of the same shape
        Zero without `test`.

    Raises
    ------
    ShapeError
        Not as many networks to test as to fit.
    """
    second, second_test = (train, test) if others is None else others
    for fitted, held in ((train, test), (second, second_test)):
        if held is not None and len(held) != len(fitted):
            raise ShapeError(
                f"there must be test data for every network, got {len(held)} for {len(fitted)} networks. "
                "Pass both lists in the same order."
            )
    tables = np.zeros((2, len(train), len(second)))
    pairs = itertools.combinations(range(len(train)), 2)
    for i, j in pairs if others is None else itertools.product(range(len(train)), range(len(second))):
        metric.fit(train[i], second[j])
        tables[0, i, j] = metric.score(train[i], second[j])
        if test is not None and second_test is not None:
            tables[1, i, j] = metric.score(test[i], second_test[j])
    if others is None:
        tables = tables + tables.transpose(0, 2, 1)
    return tables[0], tables[1]
