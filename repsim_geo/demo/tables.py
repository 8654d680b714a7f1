"""The measured numbers as files: csv for people, npz for programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repsim_geo.demo.networks import Population
from repsim_geo.demo.numbers import Numbers


def write_all(folder: Path, population: Population, numbers: Numbers) -> list[Path]:
    """
    Write every table of the demo.

    Parameters
    ----------
    folder : Path
        Where the files go.
    population : Population
        Trained networks.
    numbers : Numbers
        Results.

    Returns
    -------
    list of Path
    """
    return [
        _write_accuracies(folder / "accuracies.csv", population),
        _write_arrays(folder / "distances.npz", population, numbers),
        *_write_matrices(folder / "distances", population, numbers),
        _write_geodesic(folder / "geodesic.csv", population, numbers),
        _write_paths(folder / "paths.csv", numbers),
        _write_means(folder / "means.csv", numbers),
    ]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _write_accuracies(path: Path, population: Population) -> Path:
    header = ["network", "architecture", "family", "width", "depth", "seed", "test_accuracy"]
    rows = [
        [n.name, n.architecture, n.family, n.width, n.depth, n.seed, f"{n.accuracy:.6f}"]
        for n in population.networks
    ]
    return _write(path, header, rows)


def _write_arrays(path: Path, population: Population, numbers: Numbers) -> Path:
    networks = population.networks
    facts = {
        "networks": np.array([network.name for network in networks]),
        "architectures": np.array([network.architecture for network in networks]),
        "metrics": np.array([result.key for result in numbers.metrics]),
        "units": np.array([result.unit for result in numbers.metrics]),
    }
    np.savez(path, **facts, **{result.key: result.distances.numpy() for result in numbers.metrics})
    return path


def _write_matrices(folder: Path, population: Population, numbers: Numbers) -> list[Path]:
    names = [network.name for network in population.networks]
    files = []
    for result in numbers.metrics:
        rows = [[name, *map(repr, row)] for name, row in zip(names, result.distances.tolist(), strict=True)]
        files.append(_write(folder / f"{result.key}.csv", [result.unit, *names], rows))
    return files


def _write_geodesic(path: Path, population: Population, numbers: Numbers) -> Path:
    between = numbers.between
    names = [network.name for network in population.networks]
    header = ["t", "nearest_centroid_accuracy", "nearest_neighbor_accuracy", "to_labels_rad"]
    columns = [between.times.tolist(), between.centroid, between.neighbor, between.to_labels.tolist()]
    rows = zip(*columns, between.to_networks.tolist(), strict=True)
    return _write(
        path, header + [f"to {name} (rad)" for name in names], ([*row[:-1], *row[-1]] for row in rows)
    )


def _write_paths(path: Path, numbers: Numbers) -> Path:
    header = ["network", "steps", "length_rad", "direct_rad", "straightness"]
    header += ["pixels_to_labels_rad", "logits_to_labels_rad"]
    rows = [
        [
            p.network.name,
            len(p.names) - 1,
            p.length,
            p.direct,
            p.straightness,
            p.start_to_labels,
            p.end_to_labels,
        ]
        for p in numbers.layers.paths
    ]
    return _write(path, header, rows)


def _write_means(path: Path, numbers: Numbers) -> Path:
    columns = {
        "name": "mean_of",
        "n_iter": "n_iter",
        "converged": "converged",
        "gradient_norm": "gradient_norm_rad",
        "error_bound": "error_bound_rad",
        "variance": "variance_rad2",
        "deviation": "standard_deviation_rad",
        "radius": "radius_rad",
        "unique": "unique",
        "to_labels": "to_labels_rad",
        "members_to_labels": "members_to_labels_rad",
        "centroid": "readout_accuracy",
        "members_centroid": "members_readout_accuracy",
    }
    rows = [
        [getattr(mean, fact) for fact in columns] for mean in [*numbers.means.each, numbers.means.overall]
    ]
    return _write(path, list(columns.values()), rows)
