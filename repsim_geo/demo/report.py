"""The report: one page that explains, in plain words, what this run measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from repsim_geo._files import replacing
from repsim_geo.demo import page, sentences, statistics_report
from repsim_geo.demo.layers import LayerPath
from repsim_geo.demo.means import Mean
from repsim_geo.demo.networks import Network, Population
from repsim_geo.demo.numbers import Numbers
from repsim_geo.demo.page import percent, scientific


def write(path: Path, population: Population, numbers: Numbers, *, seed: int, seconds: float) -> Path:
    """
    Write the report.

    Parameters
    ----------
    path : Path
        The HTML file; pictures are expected in ``figures`` beside it.
    population : Population
        Trained networks.
    numbers : Numbers
        What was measured.
    seed : int
        Of this run.
    seconds : float
        Wall time so far.

    Returns
    -------
    Path
    """
    blocks = [
        _header(population),
        _tiles(population, numbers),
        _overview(),
        _networks(population),
        _distances(population, numbers),
        _metrics(population, numbers),
        _map(numbers),
        _between(population, numbers),
        _layers(population, numbers),
        _means(numbers),
        statistics_report.spread(numbers.spread),
        statistics_report.depth(population, numbers.depth),
        statistics_report.recognition(population, numbers.recognition),
        _files(),
        _footer(population, seed, seconds),
    ]
    text = page.document("A geometry of trained networks", *blocks)
    with replacing(path, text=True) as file:
        file.write(page.with_picture_sizes(text, path.parent))
    return path


# -------------------------------------------------------------------------------- top of the page


def _header(population: Population) -> str:
    n, k = len(population.networks), len(population.architectures)
    lead = f"""
        {n} small networks of {k} architectures have learned to read handwritten digits. This page shows how
        far apart their inner representations are, what lies between them, how they change from layer to
        layer, what their averages look like, and whether depth matters. Every number and every picture was
        computed by this run."""
    links = {
        "networks": "Networks",
        "distances": "Distances",
        "metrics": "Several metrics",
        "map": "Map",
        "between": "In between",
        "layers": "Layers",
        "means": "Averages",
        "spread": "Spread",
        "depth": "Depth",
        "recognition": "Recognition",
        "files": "Files",
    }
    items = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in links.items())
    lead = page.paragraph(lead, "lead")
    return f"<header><h1>A geometry of trained networks</h1>{lead}<nav>{items}</nav></header>"


def _tiles(population: Population, numbers: Numbers) -> str:
    accuracies = [network.accuracy for network in population.networks]
    main, n = numbers.main, len(population.networks)
    return page.tiles(
        [
            (
                percent(statistics.median(accuracies)),
                "median accuracy on images that no network was trained on",
            ),
            (
                f"{main.same:.2f} / {main.different:.2f}",
                "radians: median distance within / across architectures",
            ),
            (
                f"{main.nearest_architecture} of {n}",
                "networks whose nearest neighbor has the same architecture",
            ),
            (
                percent(numbers.means.explained, 0),
                "of the variance between networks goes with the architecture",
            ),
            (
                scientific(numbers.between.split_error),
                "radians: how exactly distances add up along a geodesic",
            ),
        ]
    )


def _overview() -> str:
    idea = page.paragraph(
        """<b>The idea.</b> A layer turns every image into a point, so a set of images becomes a cloud of
        points. How the cloud is turned or shifted does not matter for what can be read from it; how the
        images lie relative to each other does. <b>AngularCKA</b>, the geometry of most pictures here, keeps
        exactly that: the table of inner products of the centered cloud, scaled to length one. All these
        tables lie on a sphere. The distance of two networks is therefore an <b>angle in radians</b>: 0 if
        the clouds agree up to rotation, shift and scale, and π/2 ≈ 1.57 if they have nothing in common. And
        as on every sphere there are straight connections (geodesics) and averages, not just distances."""
    )
    picture = page.figure(
        "figures/hero.png",
        "Heat map of distances, map of networks with means, and paths of layers",
        """<b>The whole page in one picture.</b> Left: distances between all networks, dark is near. Middle:
        a flat map of the same networks; rings are the averages of the architectures. Right: networks as
        paths from the pixels (star, left) through their layers to the output. Each is explained below.
        Click a picture to enlarge it.""",
        "wide",
    )
    return picture + idea


def _networks(population: Population) -> str:
    accuracies = [network.accuracy for network in population.networks]
    plan = population.plan
    per_class = len(population.labels) // 10
    text = f"""
        The images are scikit-learn's bundled digits: 8 × 8 pixels, ten classes. {population.n_train} images
        train, {population.n_test} are held out, and the split is the same for all networks. Networks of one
        architecture differ only in their seed, which decides the initial weights, the order of the
        minibatches and the random one-pixel shifts of the training images; all seeds of an architecture
        train together, for {plan.epochs} epochs. On the held-out images they are right in
        {percent(min(accuracies))} to {percent(max(accuracies))} of the cases (median
        {percent(statistics.median(accuracies))}); the recipe of the training was chosen with these images in
        view, so a fresh set would be read slightly worse. All comparisons below use the same
        {len(population.labels)} held-out images, {per_class} of each digit."""
    rows = [
        _architecture_row([population.networks[i] for i in population.members(name)])
        for name in population.architectures
    ]
    header = [
        "architecture",
        "layers (units)",
        "last hidden layer",
        "median accuracy",
        "accuracy of each seed",
    ]
    note = """A name such as “CNN 16x3” reads: convolutional, 16 channels (twice as many from the second
        layer on), 3 hidden layers; “MLP 256x3”: fully connected, 256 units, 3 hidden layers. The
        representation of a network, where nothing else is said, is its last hidden layer, after the
        nonlinearity."""
    return page.section("networks", "The networks", page.paragraph(text), page.table(header, rows, note))


def _architecture_row(members: Sequence[Network]) -> list[str]:
    first = members[0]
    sizes = " → ".join(str(layer.shape[1]) for layer in first.layers.values())
    accuracies = [member.accuracy for member in members]
    each = " &nbsp; ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
    return [first.architecture, sizes, first.last_hidden_name, percent(statistics.median(accuracies)), each]


# ---------------------------------------------------------------------------------------------- distances


def _distances(population: Population, numbers: Numbers) -> str:
    main = numbers.main
    above = torch.triu_indices(len(main.distances), len(main.distances), 1)
    values = main.distances[above[0], above[1]]
    text = f"""
        Two networks of the same architecture, trained from different seeds, are typically {main.same:.2f}
        radians apart; two networks of different architectures {main.different:.2f}. The smallest of the
        {len(values)} distances is {values.min():.2f}, the largest {values.max():.2f} radians. Without being
        told the architecture, {main.nearest_architecture} of {len(population.networks)} networks have a
        nearest neighbor of their own architecture, and {main.nearest_family} one of their own family
        (convolutional or fully connected)."""
    picture = page.figure(
        "figures/distances.png",
        "Heat map of all distances between networks, ordered by architecture",
        """<b>All-pairs distances (AngularCKA, radians).</b> One row and one column a network, the seeds of
        an architecture side by side. Dark squares on the diagonal: seeds of one architecture end up near
        each other. Dark blocks off the diagonal: two architectures that represent the digits alike.""",
    )
    return page.section("distances", "How far apart?", page.paragraph(text), picture)


def _metrics(population: Population, numbers: Numbers) -> str:
    n = len(population.networks)
    header = [
        "metric",
        "unit",
        "same architecture",
        "different",
        "ratio",
        "nearest: same architecture",
        "same family",
        "time",
    ]
    rows = [
        [
            f"<code>{result.key}</code>",
            escape(result.unit),
            f"{result.same:.3g}",
            f"{result.different:.3g}",
            f"{result.different / result.same:.2f}",
            page.bar(result.nearest_architecture / n, f"{result.nearest_architecture} of {n}"),
            page.bar(result.nearest_family / n, f"{result.nearest_family} of {n}"),
            f"{result.seconds:.1f} s",
        ]
        for result in numbers.metrics
    ]
    note = f"""Median distance of two networks of the same and of different architectures, and their ratio;
        how many networks have a nearest neighbor of the same architecture or family; time for all
        {n * (n - 1) // 2} pairs in this run. Distances of different metrics have different units and cannot
        be compared with each other; the ratio and the counts can. A metric that notices scale also sees how
        large activations are, and that alone can tell architectures apart."""
    text = f"""
        What counts as “the same representation” is a choice, and each metric makes another one. The table
        says what each of them looks at and which changes of a network it does not notice. Here
        {len(numbers.metrics)} metrics are applied to the same networks; the package has more, which first ask
        for a choice, such as a number of dimensions."""
    small = page.figure(
        "figures/all_metrics.png",
        "One small heat map for each metric",
        """<b>The same networks under each metric.</b> Each panel has its own scale, from its smallest
        distance (dark) to its largest (bright); the colored bars are the architectures, in the order of the
        picture above.""",
        "wide",
    )
    parts = [
        page.paragraph(text),
        _cards(numbers),
        small,
        page.table(header, rows, note),
        _agreement(numbers),
    ]
    return page.section("metrics", "The same networks under several metrics", *parts)


def _cards(numbers: Numbers) -> str:
    header = ["metric", "what the distance is", "what it does not notice"]
    rows = [[f"<code>{r.key}</code>", escape(r.summary), escape(r.invariances)] for r in numbers.metrics]
    return page.table(header, rows, kind="text")


def _agreement(numbers: Numbers) -> str:
    k = len(numbers.metrics)
    above = torch.triu_indices(k, k, 1)
    values = numbers.agreement[above[0], above[1]]
    low, high = above[:, values.argmin()], above[:, values.argmax()]
    name = [f"<code>{result.key}</code>" for result in numbers.metrics]
    return page.figure(
        "figures/agreement.png",
        "Matrix of rank correlations between metrics",
        f"""<b>Do the metrics agree?</b> Rank correlation (Spearman, dimensionless): 1 means that two
        metrics order all pairs of networks alike, 0 that their orders have nothing to do with each other.
        The highest agreement is {values.max():.2f} ({name[high[0]]} and {name[high[1]]}), the lowest
        {values.min():.2f} ({name[low[0]]} and {name[low[1]]}).""",
        "matrix",
    )


def _map(numbers: Numbers) -> str:
    picture = page.figure(
        "figures/map.png",
        "Map of the networks in the plane, with the mean of each architecture",
        f"""<b>Networks on a flat map.</b> Each point is a network, color and shape are its architecture;
        the ring is the average of the architecture, with a line to each member. Near points are networks
        that represent the digits alike. A plane cannot hold all distances exactly: on this map
        (multidimensional scaling) they are off by {numbers.network_map.error:.2f} radians on average. Both
        axes are in radians; only relative positions have a meaning.""",
    )
    spread = numbers.spread
    globe = page.figure(
        "figures/globe.png",
        "Map of the networks on a sphere, seen from above",
        f"""<b>Networks on a globe.</b> All networks are points of a sphere of very many dimensions; here is
        the sphere of two dimensions that keeps their distances best, seen from above the middle of the
        networks. Rings have equal distances from the middle, in radians. Distances of networks on the globe
        are off by {spread.globe_error:.3f} radians on average, in the plane by {spread.plane.error:.3f}
        (without the averages, which the map above places too).""",
    )
    return page.section("map", "A map", picture, globe, statistics_report.seen(sentences.maps(spread)))


# ---------------------------------------------------------------------------------------------- between


def _between(population: Population, numbers: Numbers) -> str:
    between = numbers.between
    start, end = (population.networks[i].name for i in (between.start, between.end))
    whole = float(between.to_networks[0, between.end])
    middle = len(between.times) // 2
    text = f"""
        The two networks that are farthest apart are <b>{start}</b> and <b>{end}</b>: {whole:.3f} radians.
        The geodesic is the shortest connection. Its points are tables of inner products too, so they can be
        compared with every network, and digits can be read from them."""
    meaning = f"""
        <b>What is a point in between?</b> Lay the units of both networks side by side and turn one of them
        down and the other up: the result is a point of the geodesic. Halfway, both are equally loud. Built
        that way from the activations themselves, the midpoint is {scientific(between.side_by_side_error)}
        radians from the one that the geometry gives. Digits can be read from the midpoint with
        {percent(between.centroid[middle])} (nearest centroid) and {percent(between.neighbor[middle])}
        (nearest neighbors) accuracy; at the ends it is {percent(between.centroid[0])} and
        {percent(between.neighbor[0])} ({start}), {percent(between.centroid[-1])} and
        {percent(between.neighbor[-1])} ({end})."""
    profile = page.figure(
        "figures/geodesic.png",
        "Distances along the geodesic",
        f"""<b>Distances along the way (radians).</b> At fraction t of the way the distance to {start} is
        exactly t times the whole, and the distance to {end} is the rest: two straight lines whose sum
        (dashed) is flat, here to within {scientific(between.split_error)} radians. Gray: the distance to
        each of the other networks.""",
    )
    read = page.figure(
        "figures/readout.png",
        "Accuracy of two read-outs, and distance to the labels, along the geodesic",
        """<b>What can be read on the way.</b> Top: every image is classified by the other images alone, by
        the nearest class average or by its five nearest neighbors, with nothing but the inner products at
        t. Bottom: distance to the representation of a perfect classifier (one-hot labels) in radians; π/2 ≈
        1.57 would be nothing in common.""",
    )
    parts = [
        page.paragraph(text),
        profile,
        _between_table(population, numbers),
        page.paragraph(meaning),
        read,
    ]
    return page.section("between", "Between two networks", *parts)


def _between_table(population: Population, numbers: Numbers) -> str:
    between = numbers.between
    others = between.to_networks.clone()
    others[:, [between.start, between.end]] = torch.inf
    steps = len(between.times) - 1
    rows = []
    for i in dict.fromkeys(round(steps * quarter / 4) for quarter in range(5)):
        nearest = int(others[i].argmin())
        ends = [float(between.to_networks[i, j]) for j in (between.start, between.end)]
        numbers_ = [f"{value:.3f}" for value in (*ends, sum(ends), float(others[i, nearest]))]
        label = f"t = {between.times[i]:.2f}"
        rows.append(
            [
                label,
                *numbers_[:3],
                population.networks[nearest].name,
                numbers_[3],
                f"{between.to_labels[i]:.3f}",
            ]
        )
    header = ["point", "to start", "to end", "sum", "nearest other network", "its distance", "to labels"]
    return page.table(header, rows, "Distances in radians.")


# ---------------------------------------------------------------------------------------------- layers


def _layers(population: Population, numbers: Numbers) -> str:
    between, layers = numbers.between, numbers.layers
    start, end = (population.networks[i].name for i in (between.start, between.end))
    paths = {name: [layers.paths[i] for i in population.members(name)] for name in population.architectures}
    straight = {name: statistics.mean(path.straightness for path in group) for name, group in paths.items()}
    best, worst = max(straight, key=straight.__getitem__), min(straight, key=straight.__getitem__)
    text = f"""
        All layers of all networks live in the same space, and so do the pixels and the labels. A network is
        a path: it starts at the pixels ({layers.distances[0, 1]:.2f} radians from the labels), goes through
        its hidden layers and ends at the logits. <b>Straightness</b> is the direct distance from pixels to
        logits divided by the length of the path: 1 would be a geodesic. The straightest paths are those of
        {best} ({straight[best]:.2f} on average), the least straight those of {worst}
        ({straight[worst]:.2f})."""
    picture = page.figure(
        "figures/paths.png",
        "Map of layers: paths from the pixels to the logits",
        f"""<b>Networks as paths</b>, one network of each architecture. The stars are the pixels and the
        one-hot labels; every marker is a layer, arrows point to the output. Axes in radians; distances on
        this map are off by {numbers.layer_map.error:.2f} radians on average.""",
    )
    header = ["architecture", "steps", "path length", "direct", "straightness", "logits to labels"]
    note = """Averages over the seeds; lengths and distances in radians, straightness without unit. More
        steps leave more room for detours, so compare networks with equally many."""
    table = page.table(header, [_path_row(name, group) for name, group in paths.items()], note)
    matrix = page.figure(
        "figures/layers.png",
        f"Distances between the layers of {start} and the layers of {end}",
        f"""<b>Layer by layer: {start} (rows) against {end} (columns)</b>, in radians. Dark entries are
        layers that represent the images alike; if the dark entries run along the diagonal, the networks go
        through similar stages in the same order.""",
    )
    return page.section(
        "layers", "From pixels to output, layer by layer", page.paragraph(text), picture, table, matrix
    )


def _path_row(name: str, group: Sequence[LayerPath]) -> list[str]:
    def average(fact: str) -> float:
        return statistics.mean(getattr(path, fact) for path in group)

    straightness = average("straightness")
    lengths = [f"{average(fact):.3f}" for fact in ("length", "direct")]
    bar = page.bar(straightness, f"{straightness:.3f}")
    return [name, str(len(group[0].names) - 1), *lengths, bar, f"{average('end_to_labels'):.3f}"]


# ---------------------------------------------------------------------------------------------- means


def _means(numbers: Numbers) -> str:
    means = numbers.means
    everyone = [*means.each, means.overall]
    nearer = sum(mean.to_labels < mean.members_to_labels for mean in everyone)
    better = sum(mean.centroid > mean.members_centroid for mean in everyone)
    text = f"""
        The average of several networks is the point with the least sum of squared distances to them: their
        Fréchet mean. Around it, the seeds of an architecture scatter by
        {min(m.deviation for m in means.each):.2f} to {max(m.deviation for m in means.each):.2f} radians;
        all networks around their common mean by {means.overall.deviation:.2f}. So
        {percent(means.explained, 0)} of the variance goes with the architecture, and the rest with the
        seed. Groups take up some variance even if they mean nothing: names of architectures that are dealt
        out by lot would get {percent(means.chance, 0)} on average. <b>Fréchet ANOVA</b> tests whether all
        architectures have one mean and one variance; here the names are shuffled
        {len(means.anova.null)} times among all networks, and p = {page.pvalue(means.anova.pvalue)}
        ({page.give_or_take(means.anova.standard_error)})."""
    picture = page.figure(
        "figures/means.png",
        "Distances of the networks to the mean of their architecture",
        """<b>Members and their mean (radians).</b> Markers: distance of each seed to the mean of its
        architecture. The bar ends at the standard deviation, the typical such distance. Ticks: distances
        between two seeds. Ticks to the right of the markers mean that the seeds are farther from each other
        than from their mean: it lies inside the group, not at one of its members.""",
    )
    lie = f"""
        <b>Where do the means lie?</b> {nearer} of {len(everyone)} means are nearer to the labels than their
        members are on average. In {better} of {len(everyone)} cases, digits are read more accurately from
        the mean than from its members on average (nearest centroid). What the members share survives the
        averaging; what is peculiar to one of them is diluted."""
    matrix = page.figure(
        "figures/between_means.png",
        "Distances between the means of the architectures",
        """<b>Distances between the averages of the architectures</b>, in radians. Averaging removes most of
        the scatter of the seeds, so these are usually smaller than the distances between single networks;
        dark entries are architectures that, on the whole, represent the digits alike.""",
        "matrix",
    )
    parts = [
        page.paragraph(text),
        picture,
        _certificates(everyone),
        statistics_report.seen(sentences.means(means)),
        page.paragraph(lie),
        _positions(everyone),
        matrix,
    ]
    return page.section("means", "Averages of networks", *parts)


def _certificates(everyone: Sequence[Mean]) -> str:
    header = [
        "mean of",
        "members",
        "steps",
        "converged",
        "gradient norm",
        "error at most",
        "variance",
        "radius",
        "unique",
        "error by seeds",
    ]
    rows = [
        [
            mean.name,
            str(len(mean.members)),
            str(mean.n_iter),
            "yes" if mean.converged else "no",
            scientific(mean.gradient_norm),
            scientific(mean.error_bound),
            f"{mean.variance:.4f}",
            f"{mean.radius:.3f}",
            "proven" if mean.unique else "not proven",
            "–" if math.isnan(mean.seed_error) else f"{mean.seed_error:.3f}",
        ]
        for mean in everyone
    ]
    note = """<b>The certificate of each mean.</b> The gradient norm (radians) is zero at the exact mean;
        from it follows how far the computed mean can be from the exact one at most (radians). Variance:
        mean squared distance of the members (radians squared). Radius: largest distance of a member
        (radians). “Proven”: all members are so close together that a theorem guarantees that there is only
        one mean. All this is about the networks at hand. Error by seeds: how far the mean of infinitely many
        seeds typically lies from it (standard error by bootstrap, radians), a rough figure from so few
        seeds; the architectures were chosen, not drawn, so their common mean has none."""
    return page.table(header, rows, note)


def _positions(everyone: Sequence[Mean]) -> str:
    header = ["mean of", "mean to labels", "members to labels", "read-out of mean", "read-out of members"]
    rows = [
        [
            mean.name,
            f"{mean.to_labels:.3f}",
            f"{mean.members_to_labels:.3f}",
            percent(mean.centroid),
            percent(mean.members_centroid),
        ]
        for mean in everyone
    ]
    note = """Distance to the one-hot labels in radians; leave-one-out accuracy of a nearest-centroid
        read-out. The columns for members are averages over the members."""
    return page.table(header, rows, note)


# -------------------------------------------------------------------------------- end of the page

_EXAMPLE = """
import torch
from repsim_geo import AngularCKA, FrechetMean, pairwise
from repsim_geo.demo.networks import load_population

population = load_population("demo-output/networks")
reps = [network.last_hidden for network in population.networks]

pairwise(reps, "angular_cka")                          # all distances, radians

metric = AngularCKA()                                  # also a geoopt manifold
points = torch.stack([metric.embed(x) for x in reps])
metric.geodesic(0.5, points[0], points[-1])            # halfway between two networks
FrechetMean(metric).fit(points).mean_                  # the average of all
"""


def _files() -> str:
    header = ["file", "holds"]
    rows = [
        ["accuracies.csv", "every network with its architecture, seed and accuracy"],
        [
            "distances.npz",
            "distance matrices of all metrics, with names and units, for <code>numpy.load</code>",
        ],
        ["distances/", "the same as one csv file a metric; the first cell is the unit"],
        ["geodesic.csv", "distances and read-outs along the geodesic"],
        ["paths.csv", "length and straightness of the path of every network"],
        ["means.csv", "the means with their certificates"],
        ["components.csv", "the networks along the tangent principal components, and on both maps"],
        ["depth.csv", "tests of depth, one row a family and width"],
        ["regressions.csv", "geodesic regressions on depth"],
        ["recognition.csv", "the architecture that each network was assigned to"],
        ["statistics.npz", "the same for <code>numpy.load</code>, with the statistics of all shuffles"],
        ["networks/", "trained weights (npz); a second run reads them instead of training"],
        ["figures/", "the pictures of this page"],
    ]
    rows = [[f"<code>{name}</code>", text] for name, text in rows]
    lines = page.paragraph("These are the lines behind most of this page:")
    return page.section(
        "files", "Files and code", page.table(header, rows, kind="text"), lines, page.code(_EXAMPLE)
    )


def _footer(population: Population, seed: int, seconds: float) -> str:
    import repsim_geo

    n = len(population.networks)
    source = (
        "read from disk"
        if population.n_loaded == n
        else "trained"
        if not population.n_loaded
        else "trained or read"
    )
    text = f"""repsim_geo {repsim_geo.__version__}, torch {torch.__version__}, seed {seed}. Networks
        {source} in {population.seconds:.1f} s; the whole run took {seconds:.0f} s."""
    return f"<footer>{page.paragraph(text)}</footer>"
