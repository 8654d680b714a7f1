"""The pictures of the demo, one function each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from repsim_geo import viz
from repsim_geo._files import replacing
from repsim_geo.demo.between import Between
from repsim_geo.demo.depth import Depth
from repsim_geo.demo.distances import MetricResult
from repsim_geo.demo.layers import Layers
from repsim_geo.demo.maps import FlatMap
from repsim_geo.demo.means import Means
from repsim_geo.demo.networks import Population
from repsim_geo.demo.progress import track
from repsim_geo.demo.recognition import Recognition
from repsim_geo.demo.spread import Spread
from repsim_geo.viz.looks import FAINT, PALETTE, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RADIANS = "radians"


def _figure(width: float, height: float) -> Figure:
    """An empty figure; made without pyplot, so that no window system is needed."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_all(folder: Path, population: Population, numbers: Any) -> list[Path]:
    """
    Draw and write every picture.

    Parameters
    ----------
    folder : Path
        Where the PNG files go.
    population : Population
        Trained networks.
    numbers : Numbers
        Results of the analysis.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    main = numbers.main
    pictures = {
        "hero": lambda: hero(population, main, numbers.network_map, numbers.layers, numbers.layer_map),
        "distances": lambda: distances(population, main),
        "all_metrics": lambda: all_metrics(population, numbers.metrics),
        "agreement": lambda: agreement(numbers.metrics, numbers.agreement),
        "map": lambda: network_map(population, numbers.network_map),
        "geodesic": lambda: geodesic(population, numbers.between),
        "readout": lambda: readout(population, numbers.between),
        "paths": lambda: paths(numbers.layers, numbers.layer_map),
        "layers": lambda: layers(population, numbers.layers, numbers.between),
        "means": lambda: means(population, main, numbers.means),
        "between_means": lambda: between_means(numbers.means),
        "globe": lambda: globe(population, numbers.spread),
        "components": lambda: components(population, numbers.spread),
        "recognition": lambda: recognition(population, numbers.recognition),
    }
    if numbers.depth.contrasts:
        pictures["depth"] = lambda: depth(numbers.depth)
    if numbers.depth.families:
        pictures["regression"] = lambda: regression(population, numbers.depth)
    files = []
    with viz.style():
        for name, draw in track(pictures.items(), "pictures"):
            files.append(folder / f"{name}.png")
            with replacing(files[-1]) as file:
                draw().savefig(file, format="png")
    return files


def _groups(population: Population) -> list[str]:
    return [network.architecture for network in population.networks]


def distances(population: Population, result: MetricResult) -> Figure:
    """Heat map of one metric's distances."""
    figure = _figure(6.6, 5.6)
    viz.distance_heatmap(result.distances, groups=_groups(population), unit=result.unit, ax=figure.subplots())
    return figure


def all_metrics(population: Population, results: Sequence[MetricResult]) -> Figure:
    """Small heat maps, one a metric, each with its own scale."""
    rows = -(-len(results) // 5)
    columns = -(-len(results) // rows)
    figure = _figure(2.7 * columns, 2.8 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, result in zip(axes, results, strict=False):
        viz.distance_heatmap(result.distances, groups=_groups(population), colorbar=False, ax=ax)
        ax.set(xticks=[], yticks=[])
        ax.set_title(result.key, fontsize=10)
    for ax in axes[len(results) :]:
        ax.remove()
    return figure


def agreement(results: Sequence[MetricResult], correlations: torch.Tensor) -> Figure:
    """Rank correlation between the distances of every two metrics."""
    keys = [result.key for result in results]
    figure = _figure(2.8 + 0.46 * len(keys), 1.8 + 0.42 * len(keys))
    shown = correlations.clone().fill_diagonal_(torch.nan)
    viz.layer_matrix(shown, keys, keys, quantity="Spearman's rank correlation", ax=figure.subplots())
    return figure


def network_map(population: Population, flat: FlatMap) -> Figure:
    """Networks and means of architectures in the plane."""
    figure = _figure(7.4, 5.2)
    _draw_network_map(population, flat, figure.subplots())
    return figure


def _draw_network_map(population: Population, flat: FlatMap, ax: Axes) -> None:
    n = len(population.networks)
    points, centers = flat.coordinates[:n], flat.coordinates[n:]
    viz.embedding_map(points, groups=_groups(population), means=centers, unit=_RADIANS, ax=ax)


def geodesic(population: Population, between: Between) -> Figure:
    """Distances along the geodesic between two networks."""
    figure = _figure(7.4, 4.8)
    start, end = between.start, between.end
    others = [i for i in range(len(population.networks)) if i not in (start, end)]
    viz.geodesic_profile(
        between.times,
        between.to_networks[:, start],
        between.to_networks[:, end],
        others=between.to_networks[:, others],
        start=population.networks[start].name,
        end=population.networks[end].name,
        unit=_RADIANS,
        ax=figure.subplots(),
    )
    return figure


def readout(population: Population, between: Between) -> Figure:
    """Accuracy of two read-outs, and distance to the labels, along the geodesic."""
    figure = _figure(7.4, 4.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    times = between.times
    upper.plot(
        times, 100 * np.array(between.centroid), color=PALETTE[6], linewidth=2.4, label="nearest centroid"
    )
    upper.plot(
        times, 100 * np.array(between.neighbor), color=PALETTE[7], linewidth=2.4, label="5 nearest neighbors"
    )
    upper.set_ylabel("read-out accuracy (%)")
    upper.legend(loc="best")
    lower.plot(times, between.to_labels, color=PALETTE[3], linewidth=2.4)
    lower.set(ylabel="distance to labels\n(radians)", xlabel="fraction t along the geodesic", xlim=(0, 1))
    for ax in (upper, lower):
        tidy(ax)
        ax.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    names = [population.networks[i].name for i in (between.start, between.end)]
    upper.set_title(f"t = 0 is {names[0]}, t = 1 is {names[1]}", fontsize=10, fontweight="normal")
    figure.align_ylabels()
    return figure


def paths(layers: Layers, flat: FlatMap) -> Figure:
    """One network of each architecture as a path from pixels to logits."""
    figure = _figure(7.4, 5.2)
    _draw_paths(layers, flat, figure.subplots())
    return figure


def _draw_paths(layers: Layers, flat: FlatMap, ax: Axes) -> None:
    chosen = layers.first_of_each
    position = {row: i for i, row in enumerate(layers.map_rows)}
    routes = {p.network.architecture: flat.coordinates[[position[row] for row in p.rows]] for p in chosen}
    anchors = {"pixels": flat.coordinates[position[0]], "labels": flat.coordinates[position[1]]}
    viz.layer_paths(routes, anchors, unit=_RADIANS, ax=ax)


def layers(population: Population, layers: Layers, between: Between) -> Figure:
    """Layers of one network against the layers of another."""
    start, end = layers.paths[between.start], layers.paths[between.end]
    figure = _figure(2.6 + 0.8 * len(end.names), 1.6 + 0.66 * len(start.names))
    ax = figure.subplots()
    values = layers.between(between.start, between.end)
    viz.layer_matrix(values, start.names, end.names, unit=_RADIANS, ax=ax)
    ax.set_ylabel(start.network.name, fontweight="bold")
    ax.set_xlabel(end.network.name, fontweight="bold")
    return figure


def means(population: Population, result: MetricResult, means: Means) -> Figure:
    """Distance of the networks to the mean of their architecture."""
    pairs = {}
    for mean in means.each:
        above = torch.triu_indices(len(mean.members), len(mean.members), 1)
        pairs[mean.name] = result.distances[mean.members][:, mean.members][above[0], above[1]]
    figure = _figure(7.4, 1.3 + 0.44 * len(pairs))
    viz.mean_and_members(
        {m.name: m.to_members for m in means.each}, pairs, unit=_RADIANS, ax=figure.subplots()
    )
    return figure


def between_means(means: Means) -> Figure:
    """Distances between the means of the architectures."""
    names = [mean.name for mean in means.each]
    figure = _figure(2.4 + 0.62 * len(names), 1.6 + 0.52 * len(names))
    viz.layer_matrix(
        means.between.clone().fill_diagonal_(torch.nan), names, names, unit=_RADIANS, ax=figure.subplots()
    )
    return figure


def globe(population: Population, spread: Spread) -> Figure:
    """Networks on a sphere, seen from above."""
    figure = _figure(7.4, 5.6)
    viz.globe_map(spread.globe, groups=_groups(population), unit=_RADIANS, ax=figure.subplots())
    return figure


def components(population: Population, spread: Spread) -> Figure:
    """Networks along the first two tangent principal components."""
    figure = _figure(7.4, 5.2)
    viz.principal_components(
        spread.scores, spread.shares, groups=_groups(population), unit=_RADIANS, ax=figure.subplots()
    )
    return figure


def depth(depth: Depth) -> Figure:
    """Energy statistics of the networks as they are, and of all assignments of depths."""
    figure = _figure(7.4, 1.4 + 0.46 * len(depth.contrasts))
    viz.permutation_nulls(
        {contrast.name: contrast.energy.null for contrast in depth.contrasts},
        {contrast.name: contrast.energy.statistic for contrast in depth.contrasts},
        quantity="energy statistic",
        unit=_RADIANS,
        ax=figure.subplots(),
    )
    return figure


def regression(population: Population, depth: Depth) -> Figure:
    """Position of the networks along the geodesic of their family, against depth."""
    figure = _figure(4.0 * len(depth.families) + 0.6, 4.4)
    axes = figure.subplots(1, len(depth.families), sharey=True, squeeze=False)[0]
    for ax, line in zip(axes, depth.families, strict=True):
        members = [population.networks[i] for i in line.members]
        viz.regression_positions(
            [member.depth for member in members],
            line.positions,
            slope=line.slope,
            middle=line.middle,
            groups=[member.architecture for member in members],
            styles=viz.group_styles(_groups(population)),
            quantity="hidden layers",
            unit=_RADIANS,
            legend=False,
            ax=ax,
        )
        ax.set_title(line.name)
        ax.legend(loc="upper left", fontsize=8.5)
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure


def recognition(population: Population, recognition: Recognition) -> Figure:
    """Architectures that networks were assigned to."""
    names = population.architectures
    figure = _figure(1.7 + 0.6 * len(names), 1.6 + 0.52 * len(names))
    viz.confusion_matrix(recognition.with_seed.counts, names, ax=figure.subplots())
    return figure


def hero(
    population: Population, result: MetricResult, networks: FlatMap, layers: Layers, layer_map: FlatMap
) -> Figure:
    """Three panels in a row: distances, map of networks with means, paths of layers."""
    figure = _figure(13.6, 4.5)
    figure.set_layout_engine("compressed")  # made for panels of fixed shape: no gaps beside the squares
    left, middle, right = figure.subplots(1, 3)
    viz.distance_heatmap(result.distances, groups=_groups(population), unit=result.unit, ax=left)
    _draw_network_map(population, networks, middle)
    _draw_paths(layers, layer_map, right)
    middle.get_legend().remove()
    for ax in (middle, right):
        ax.set_box_aspect(1)
    left.set_title("Distances between networks")
    middle.set_title("Networks and their means")
    right.set_title("From pixels to logits")
    return figure
