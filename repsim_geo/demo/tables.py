"""The measured numbers as files: csv for people, npz for programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repsim_geo._files import replacing
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
        _write_components(folder / "components.csv", population, numbers),
        _write_depth(folder / "depth.csv", numbers),
        _write_regressions(folder / "regressions.csv", numbers),
        _write_recognition(folder / "recognition.csv", population, numbers),
        _write_statistics(folder / "statistics.npz", population, numbers),
    ]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, text=True) as file:
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
    arrays = {result.key: result.distances.numpy() for result in numbers.metrics}
    with replacing(path) as file:
        np.savez(file, **facts, **arrays)
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
        "seed_error": "standard_error_by_seeds_rad",
    }
    rows = [
        [getattr(mean, fact) for fact in columns] for mean in [*numbers.means.each, numbers.means.overall]
    ]
    return _write(path, list(columns.values()), rows)


def _write_components(path: Path, population: Population, numbers: Numbers) -> Path:
    spread = numbers.spread
    header = ["network", *(f"component_{i + 1}_rad" for i in range(spread.scores.shape[1]))]
    header += ["plane_1_rad", "plane_2_rad", "globe_1", "globe_2", "globe_3"]
    names = [network.name for network in population.networks]
    columns = names, spread.scores.tolist(), spread.plane.coordinates.tolist(), spread.globe.tolist()
    rows = ([name, *scores, *plane, *globe] for name, scores, plane, globe in zip(*columns, strict=True))
    return _write(path, header, rows)


def _write_depth(path: Path, numbers: Numbers) -> Path:
    header = ["family", "width", "depths", "networks", "energy_statistic_rad", "energy_pvalue"]
    header += ["assignments", "explained", "explained_by_chance", "anova_statistic", "anova_pvalue"]
    rows = [
        [
            c.family,
            c.width,
            " ".join(map(str, c.depths)),
            len(c.members),
            c.energy.statistic,
            c.energy.pvalue,
            len(c.energy.null),
            c.explained,
            c.chance,
            c.anova.statistic,
            c.anova.pvalue,
        ]
        for c in numbers.depth.contrasts
    ]
    if together := numbers.depth.together:
        networks = sum(len(c.members) for c in numbers.depth.contrasts)
        row = ["together", "", "", networks, together.statistic, together.pvalue, together.n_assignments]
        rows.append([*row, "", "", "", ""])
    return _write(path, header, rows)


def _write_regressions(path: Path, numbers: Numbers) -> Path:
    header = ["networks", "depth", "to_labels_rad", "slope_rad_per_layer", "r2", "pvalue"]
    header += ["pvalue_monte_carlo_error", "permutations"]
    rows = [
        [
            line.name,
            depth,
            to_labels,
            line.slope,
            line.r2,
            line.test.pvalue,
            line.test.standard_error,
            len(line.test.null),
        ]
        for line in numbers.depth.regressions
        for depth, to_labels in zip(line.depths, line.to_labels, strict=True)
    ]
    return _write(path, header, rows)


def _write_recognition(path: Path, population: Population, numbers: Numbers) -> Path:
    header = ["network", "architecture", "left_out_alone", "left_out_with_seed"]
    alone, with_seed = numbers.recognition.alone, numbers.recognition.with_seed
    columns = population.networks, alone.predicted, with_seed.predicted
    rows = ([n.name, n.architecture, a, b] for n, a, b in zip(*columns, strict=True))
    return _write(path, header, rows)


def _write_statistics(path: Path, population: Population, numbers: Numbers) -> Path:
    spread, depth = numbers.spread, numbers.depth
    arrays = {
        "networks": np.array([network.name for network in population.networks]),
        "architectures": np.array(population.architectures),
        "scores_rad": spread.scores.numpy(),
        "component_shares": spread.shares.numpy(),
        "plane_rad": spread.plane.coordinates,
        "globe": spread.globe.numpy(),
        "architecture_anova_null": numbers.means.anova.null.numpy(),
        "confusion_left_out_alone": numbers.recognition.alone.counts.numpy(),
        "confusion_left_out_with_seed": numbers.recognition.with_seed.counts.numpy(),
    }
    for contrast in depth.contrasts:
        name = f"{contrast.family}_{contrast.width}".lower()
        arrays[f"depth_energy_null_{name}_rad"] = contrast.energy.null.numpy()
        arrays[f"depth_anova_null_{name}"] = contrast.anova.null.numpy()
    for line in depth.regressions:
        name = line.name.lower().replace(" ", "_")
        arrays[f"regression_positions_{name}_rad"] = line.positions.numpy()
        arrays[f"regression_null_{name}"] = line.test.null.numpy()
    with replacing(path) as file:
        np.savez(file, **arrays)
    return path
