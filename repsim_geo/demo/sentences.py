"""What one sees, in one sentence each. Every wording is chosen by the numbers, none is taken for granted."""

from __future__ import annotations

from repsim_geo.demo.depth import Depth, Regression
from repsim_geo.demo.means import Means
from repsim_geo.demo.page import listing, percent, pvalue, scientific
from repsim_geo.demo.recognition import Recognition
from repsim_geo.demo.spread import Sources, Spread

_LEVEL = 0.05
"""A p-value below is called a difference."""

_NAMES = {
    "family": "the family of networks",
    "depth": "depth within a family",
    "width": "width",
    "seed": "the seed",
}


def means(means: Means) -> str:
    """Whether architectures differ, and how exactly their means are known."""
    bound = max(mean.error_bound for mean in [*means.each, means.overall])
    found = all(mean.converged for mean in [*means.each, means.overall])
    exact = (
        f"all averages are computed to within {scientific(bound)} radians"
        if found
        else "not every average was found in time"
    )
    p = f"p = {pvalue(means.anova.pvalue)}"
    if means.anova.pvalue < _LEVEL:
        verdict = f"Architectures differ in where their networks lie or how far they scatter ({p})"
    else:
        verdict = f"These networks do not show a difference between architectures ({p})"
    return f"""{verdict}, with {percent(means.explained, 0)} of the variance between them instead of the
        {percent(means.chance, 0)} of chance; {exact}."""


def maps(spread: Spread) -> str:
    """Whether a sphere holds the distances better than a plane."""
    plane, globe = spread.plane.error, spread.globe_error
    figures = f"({globe:.3f} and {plane:.3f} radians off)"
    if globe < 0.9 * plane:
        return f"The globe keeps the distances better than the plane does {figures}: curvature matters."
    if globe > 1.1 * plane:
        return f"The globe keeps the distances less well than the plane does {figures}."
    return f"""The globe keeps the distances about as well as the plane does {figures}: what a map lacks is
        dimensions, not curvature."""


def spread(spread: Spread) -> str:
    """In how many directions the networks spread, and what the first two go with."""
    count = min(2, len(spread.shares))
    shown, needed = float(spread.shares[:count].sum()), spread.needed(0.9)
    shape = "the networks nearly lie in a plane" if needed <= 2 else "the networks spread in many directions"
    if 2 < needed <= 4:
        shape = "the networks spread in few directions"
    goes = [source.largest for source in spread.each[:2]]
    if count == 2 and goes[0] != goes[1]:
        first, second = (_share(source) for source in spread.each[:2])
        meaning = f"the first goes above all with {first}, the second with {second}"
    elif count == 2:
        meaning = f"both go above all with {_NAMES[goes[0]]}"
    else:
        meaning = f"it goes above all with {_share(spread.each[0])}"
    lead = "The first two components hold" if count == 2 else "The only component holds"
    return f"""{lead} {percent(shown, 0)} of the variance, and 90 % take {needed}, so {shape}; {meaning}."""


def _share(source: Sources) -> str:
    largest = source.largest
    return f"{_NAMES[largest]} ({percent(getattr(source, largest), 0)} of its variance)"


def depth(depth: Depth) -> str:
    """Whether depth matters."""
    if depth.together is None:
        return """No family has networks of one width and different depths here, so nothing can be said
            about depth alone."""
    contrasts = depth.contrasts
    p = f"p = {pvalue(depth.together.pvalue)}"
    seen = sum(contrast.energy.pvalue < _LEVEL for contrast in contrasts)
    k = len(contrasts)
    each = (
        f"seen in {seen} of {k} comparisons alone"
        if k > 1
        else f"in the only comparison, {contrasts[0].name}"
    )
    if depth.together.pvalue >= _LEVEL:
        return f"These networks do not show that depth matters ({p}; {each})."
    shares = {contrast.name: contrast.explained for contrast in contrasts}
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    most_ = f"{percent(shares[most], 0)} of the variance ({most})"
    share = f"{percent(shares[least], 0)} ({least}) to {most_}" if k > 1 else most_
    return f"Depth matters ({p}; {each}): it accounts for {share}."


def regression(depth: Depth) -> str:
    """What the geodesics of the families say."""
    lines = depth.families
    if not lines:
        return "No family comes in several depths here, so there is no geodesic within a family."
    found = [line for line in lines if line.test.pvalue < _LEVEL]
    if not found:
        names = listing([line.name for line in lines])
        return f"Depth does not tell where along a geodesic the networks lie ({names})."
    parts = [
        f"{line.name} networks move {line.slope:.2f} radians a hidden layer (R² = {line.r2:.2f})"
        for line in found
    ]
    missing = [line.name for line in lines if line not in found]
    rest = f"; for {listing(missing)} no such trend is seen" if missing else ""
    return f"Along the geodesics, {listing(parts)}; {_toward_labels(found)}{rest}."


def _toward_labels(lines: list[Regression]) -> str:
    """Whether deeper networks are nearer to the labels, from the ends of each geodesic."""
    nearer = [line.name for line in lines if line.to_labels[-1] < line.to_labels[0]]
    farther = [line.name for line in lines if line.to_labels[-1] >= line.to_labels[0]]
    if not farther:
        return "deeper networks are nearer to the labels"
    if not nearer:
        return "deeper networks are not nearer to the labels"
    return f"deeper networks are nearer to the labels for {listing(nearer)}, not for {listing(farther)}"


def recognition(recognition: Recognition, n: int) -> str:
    """How well architectures are told apart, and what is confused."""
    answers = recognition.with_seed
    lead = f"{answers.right} of {n} networks are recognized, where guessing would get {recognition.guessed:g}"
    if answers.right == n:
        return f"All {n} networks are recognized, where guessing would get {recognition.guessed:g}."
    if answers.right <= recognition.guessed:
        return f"{lead}: architectures cannot be told apart in this way."
    of_width, others = answers.relatives - answers.right, n - answers.relatives
    if not others:
        return f"{lead}; all mistakes are about the width, never about family or depth."
    if of_width > others:
        return f"{lead}; {of_width} of the {n - answers.right} mistakes are about the width only."
    return f"{lead}; {others} of the {n - answers.right} mistakes get the family or the depth wrong."
