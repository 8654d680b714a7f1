"""Sections of the report on statistics: spread, depth, recognition."""

from __future__ import annotations

from collections.abc import Sequence

from repsim_geo.demo import page, sentences
from repsim_geo.demo.depth import Contrast, Depth, Together
from repsim_geo.demo.networks import Population
from repsim_geo.demo.page import listing, percent, pvalue
from repsim_geo.demo.recognition import Recognition
from repsim_geo.demo.spread import Sources, Spread


def seen(sentence: str) -> str:
    """The one sentence that says what a reader should take along."""
    return page.paragraph(f"<b>What one sees.</b> {sentence}")


# ---------------------------------------------------------------------------------------------- spread


def spread(spread: Spread) -> str:
    """
    The section on tangent principal components.

    Parameters
    ----------
    spread : Spread
        What was measured.

    Returns
    -------
    str
        HTML.
    """
    text = """
        At the average of all networks the sphere is laid flat: every network becomes an arrow that points
        from the average to it, as long as their distance. The <b>principal components</b> of these arrows are
        the directions in which the networks differ most; each is the start of a geodesic through the
        average."""
    much = "less" if spread.missed > 0 else "more"
    picture = page.figure(
        "figures/components.png",
        "The networks along their first two tangent principal components",
        f"""<b>Networks along the first two components</b>, in radians; the lines cross at the average.
        Unlike the map above, this picture is not meant to keep all distances: it shows two directions and
        leaves out the others. Laid flat, the networks are {much} spread out than they are on the sphere, by
        {percent(abs(spread.missed))} of the squared distances.""",
    )
    header = ["component", "share of variance", "family", "depth", "width", "seed"]
    rows = [
        [str(i + 1), page.bar(float(share), percent(float(share))), *_shares(source)]
        for i, (share, source) in enumerate(zip(spread.shares[:5], spread.each[:5], strict=True))
    ]
    rows += [["all together", "", *_shares(spread.total)], ["by chance", "", *_shares(spread.chance)]]
    note = """What the variance along each component goes with: differences between families; between depths
        of one family; between widths of one family and depth; and between seeds, which is the rest. By
        chance: what to expect on average if the networks had their architectures by lot."""
    table = page.table(header, rows, note)
    parts = [page.paragraph(text), picture, table, seen(sentences.spread(spread))]
    return page.section("spread", "How the networks spread", *parts)


def _shares(source: Sources) -> list[str]:
    return [percent(share, 0) for share in (source.family, source.depth, source.width, source.seed)]


# ---------------------------------------------------------------------------------------------- depth


def depth(population: Population, depth: Depth) -> str:
    """
    The section on tests of depth, and regression on depth.

    Parameters
    ----------
    population : Population
        Trained networks.
    depth : Depth
        What was measured.

    Returns
    -------
    str
        HTML.
    """
    parts = [page.paragraph(_design(population, depth))]
    if depth.contrasts and depth.together:
        parts += [page.paragraph(_exchange(depth)), _nulls(depth), _tests(depth.contrasts, depth.together)]
    parts.append(seen(sentences.depth(depth)))
    if depth.families:
        parts += [_geodesics(), _lines(population, depth), seen(sentences.regression(depth))]
    return page.section("depth", "Does depth matter?", *parts)


def _design(population: Population, depth: Depth) -> str:
    networks = population.networks
    depths = {n.family: set[int]() for n in networks}
    for network in networks:
        depths[network.family].add(network.depth)
    listed = "; ".join(
        f"{family}: {listing([str(d) for d in sorted(values)])}" for family, values in depths.items()
    )
    confounded = len(set(map(frozenset, depths.values()))) > 1
    design = (
        f"""Over all networks, depth and family go together (hidden layers: {listed}), so a difference
        between depths could be one between families."""
        if confounded
        else f"All families come in the same depths (hidden layers: {listed})."
    )
    if not depth.contrasts:
        return design
    widths = [{networks[i].last_hidden.shape[1] for i in c.members} for c in depth.contrasts]
    same = (
        "even their last hidden layers have equally many units"
        if all(len(w) == 1 for w in widths)
        else "though their last hidden layers do not all have equally many units"
    )
    link = "Therefore only" if confounded else "Only"
    return f"""{design} {link} networks of <b>one family and one width</b> are compared with each other. They
        differ in depth, and so in the number of weights, and in nothing else: images and training are the
        same, {same}. The seeds are the replicates."""


def _exchange(depth: Depth) -> str:
    if depth.same_seed < depth.other_seed:
        seeds = f"""Networks of different depth that come from the same seed share random numbers and are a
            little nearer to each other ({depth.same_seed:.2f} radians on average) than those from different
            seeds ({depth.other_seed:.2f}). Every seed stands once in each group, which brings the groups
            nearer together: if anything, the test errs on the side of caution."""
    else:
        seeds = f"""Networks of different depth that come from the same seed are not nearer to each other
            ({depth.same_seed:.2f} radians on average) than those from different seeds
            ({depth.other_seed:.2f}), so that the seeds can count as independent."""
    return f"""If depth made no difference, it would not matter which of these networks are called the deeper
        ones. The <b>energy test</b> compares distances between the depths with distances within them, for the
        networks as they are and for every other way of calling them deep. {seeds}"""


def _nulls(depth: Depth) -> str:
    return page.figure(
        "figures/depth.png",
        "Energy statistics of the networks as they are, and of all other assignments",
        """<b>Energy statistic (radians).</b> One row a family and width. Diamonds: the networks as they are.
        Ticks: all ways of assigning the depths to the same networks. A diamond at or beyond the last tick
        means that no other assignment separates the networks better.""",
    )


def _tests(contrasts: Sequence[Contrast], together: Together) -> str:
    header = ["networks", "hidden layers", "number", "energy statistic", "assignments", "p"]
    header += ["variance by depth", "by chance", "p (Fréchet ANOVA)"]
    rows = [
        [
            c.name,
            listing([str(d) for d in c.depths]),
            str(len(c.members)),
            f"{c.energy.statistic:.2f}",
            _count(len(c.energy.null)),
            pvalue(c.energy.pvalue),
            percent(c.explained, 0),
            percent(c.chance, 0),
            pvalue(c.anova.pvalue),
        ]
        for c in contrasts
    ]
    number = str(sum(len(c.members) for c in contrasts))
    total = [f"{together.statistic:.2f}", _count(together.n_assignments), pvalue(together.pvalue)]
    rows.append(["together", "", number, *total, "", "", ""])
    least = min(_least(c) for c in contrasts)
    note = f"""The statistic is in radians. p: share of assignments that separate the networks at least as
        well; all assignments were tried, so it is exact. Among so few networks a single row cannot get below
        {pvalue(least)}, and the last row, the sum of the statistics over all combinations of assignments,
        can. Fréchet ANOVA compares means and variances of the same groups, with the same assignments.
        Variance by depth: share of the variance of these networks that goes with depth; by chance: what it
        would be on average if depth meant nothing."""
    return page.table(header, rows, note)


def _least(contrast: Contrast) -> float:
    """Smallest p-value that the assignments allow: mirror images of the best one are as good."""
    null = contrast.energy.null
    return float((null >= null.max() * (1 - 1e-10)).double().mean())


def _count(n: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{n:,}".replace(",", "\u202f")


def _geodesics() -> str:
    text = """
        <b>Geodesic regression</b> asks for more than a difference: it looks for the geodesic along which the
        networks move as they become deeper, at constant speed. R² is the share of the variance that the
        geodesic explains."""
    picture = page.figure(
        "figures/regression.png",
        "Position of the networks along the geodesic of their family, against depth",
        """<b>Networks along the geodesic of their family</b>, in radians from its middle, against the number
        of hidden layers. The line is where the regression expects them. What is not seen here is how far they
        are beside the geodesic; R² counts that too. Networks of one depth
        are drawn side by side.""",
    )
    return page.paragraph(text) + picture


def _lines(population: Population, depth: Depth) -> str:
    header = ["networks", "number", "hidden layers", "radians a layer", "R²", "p", "shuffles", "to labels"]
    rows = [
        [
            line.name,
            str(len(line.members)),
            listing([str(d) for d in line.depths]),
            f"{line.slope:.3f}",
            f"{line.r2:.2f}",
            f"{pvalue(line.test.pvalue)} {page.give_or_take(line.test.standard_error)}",
            _count(len(line.test.null)),
            " → ".join(f"{value:.2f}" for value in line.to_labels),
        ]
        for line in depth.regressions
    ]
    notes = [
        """p: from R² after shuffling the depths among the networks of the row, with its Monte Carlo error. To
        labels: distance of the geodesic to the one-hot labels, from the least depth to the greatest, in
        radians."""
    ]
    if _balanced(population, depth):
        notes.append(
            "Every width comes equally often in every depth of a family, so width cannot pass for depth."
        )
    if all(len(line.depths) == 2 for line in depth.families):
        notes.append(
            "With two depths a geodesic joins two groups; whether the way between is straight is not tested."
        )
    if len(depth.families) < len(depth.regressions) and len({n.family for n in population.networks}) > 1:
        notes.append("The last row also contains whatever families of different depth do not share.")
    return page.table(header, rows, " ".join(notes))


def _balanced(population: Population, depth: Depth) -> bool:
    """Whether width and depth are crossed evenly in every family."""
    for line in depth.families:
        pairs = [(population.networks[i].width, population.networks[i].depth) for i in line.members]
        widths = {width for width, _ in pairs}
        if len({pairs.count((width, d)) for width in widths for d in line.depths}) > 1:
            return False
    return True


# ---------------------------------------------------------------------------------------------- recognition


def recognition(population: Population, recognition: Recognition) -> str:
    """
    The section on the classification of networks.

    Parameters
    ----------
    population : Population
        Trained networks.
    recognition : Recognition
        What was measured.

    Returns
    -------
    str
        HTML.
    """
    n = len(population.networks)
    text = """
        Can one tell from the representation alone which architecture a network has? Each network is assigned
        to the architecture whose average is nearest, and has no part in that average. Left out <b>alone</b>,
        it faces an average of its own architecture that is made of one network less than the others, hence
        less exact and farther away. Left out <b>with all networks of its seed</b>, it faces averages of
        equally many networks."""
    header = ["left out", "architecture right", "family and depth right"]
    rows = [
        [
            name,
            page.bar(answers.right / n, f"{answers.right} of {n}"),
            page.bar(answers.relatives / n, f"{answers.relatives} of {n}"),
        ]
        for name, answers in (
            ("alone", recognition.alone),
            ("with its seed", recognition.with_seed),
        )
    ]
    rows.append(["by guessing", f"{recognition.guessed:g}", f"{recognition.guessed_relatives:g}"])
    picture = page.figure(
        "figures/recognition.png",
        "Table of architectures: what networks are, and what they were taken for",
        """<b>What networks are (rows) and what they were taken for (columns)</b>, left out with their seed;
        numbers of networks. Right answers are framed.""",
        "matrix",
    )
    parts = [page.paragraph(text), page.table(header, rows), picture]
    parts.append(seen(sentences.recognition(recognition, n)))
    return page.section("recognition", "Recognizing architectures", *parts)
