"""
In which directions do networks differ?
=======================================

Near the Fréchet mean of many networks their space is almost flat, and tangent vectors there can be treated
as any other data: their principal components are the directions in which these networks differ.
"""

# %%
# One direction has a name
# ------------------------
#
# Fully connected networks with one hidden layer of 8, 16, 32, 64, 128 and 256 units, six seeds of each,
# have learned scikit-learn's digits. Points are the Gram matrices of the hidden layer on 100 held-out
# images. The first component of the tangent vectors at the mean has 23 % of the variance, and it is width:
# its correlation with the logarithm of the width is -0.85. The components that follow have 10 % and less.
# They hold what seeds do, and for narrow networks that is a lot.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of

import repsim_geo as rg
from repsim_geo.demo.architectures import Architecture
from repsim_geo.viz import component_effects, principal_components
from repsim_geo.viz.looks import INK, MUTED, group_styles, mark, style, tidy

WIDTHS = (8, 16, 32, 64, 128, 256)
population = networks_of([Architecture("MLP", width, 1) for width in WIDTHS], n_seeds=6)
width = np.array([network.width for network in population.networks])
metric = rg.AngularCKA()
points = torch.stack([metric.embed(network.last_hidden.double()) for network in population.networks])

pca = rg.TangentPCA(metric).fit(points)
scores = pca.transform(points)
log_width = torch.as_tensor(np.log2(width))
print("shares of the variance:", pca.explained_variance_ratio_[:4].numpy().round(2))
together = torch.cat([log_width[None], scores[:, :4].T]).corrcoef()
print("correlations with log width:", together[0, 1:].numpy().round(2))
print(f"dispersion that the tangent space misses: {100 * pca.missed_:.0f} %")
for w in WIDTHS:
    print(f"width {w:3d}: spread of the seeds along component 2 {scores[width == w, 1].std():.2f} radians")

# %%
# What it does
# ------------
#
# Components are velocities: ``walk`` goes along them, in standard deviations, and every point on the way is
# a Gram matrix that can be asked. From two deviations on the side of wide networks to two on the side of
# narrow ones, the distance to the pixels rises from 0.37 to 0.66 radians, and the dimension (participation
# ratio) falls from 10.9 to 4.8. Along the second component both change less than half as much, along the
# third less than a fifth.

pixels = metric.embed(population.images.double())


def dimension(gram):
    """Participation ratio: how many directions of equal variance would spread as much."""
    return float(gram.trace() ** 2 / gram.square().sum())


for k in range(3):
    ends = pca.walk(k, [-2.0, 2.0])
    print(
        f"component {k + 1}: to the pixels", metric.dist(ends, pixels).numpy().round(3),
        "dimension", np.round([dimension(end) for end in ends], 1),
    )  # fmt: skip

# %%
# The Gram matrices themselves, images in the order of their digits. Toward narrow networks digits mix: twos
# and threes come to have twice as much in common (a mean inner product of 0.0091 instead of 0.0048). The
# second component does less, most visibly to the fives, which lose two fifths of what they have in common.

with style():
    figure, ax = plt.subplots(figsize=(11.4, 5.4), layout="constrained")
    times = [-2.0, 0.0, 2.0]
    walks = torch.stack([pca.walk(k, times) for k in range(2)])
    component_effects(
        walks,
        times,
        population.labels.tolist(),
        shares=pca.explained_variance_ratio_[:2],
        quantity="inner product",
        ax=ax,
    )

plt.show()

inputs = {digit: population.labels == digit for digit in range(10)}
for k, (a, b) in ((0, (2, 2)), (0, (2, 3)), (1, (5, 5))):
    low, _, high = (float(gram[inputs[a]][:, inputs[b]].mean()) for gram in walks[k])
    print(f"component {k + 1}: mean inner product of {a} and {b} from {low:.4f} to {high:.4f}")

# %%
# With a name there is a regression
# ---------------------------------
#
# ``GeodesicRegression`` finds the geodesic that follows width best. It explains 19 % of the variance, more
# than with any of 999 shufflings of the widths. Its points are what a width would represent without the
# accidents of a seed: from 8 to 256 units their dimension grows from 5.5 to 10.8, and they approach the
# pixels from 0.59 to 0.34 radians. Real networks are farther from the pixels, since they have the
# accidents, too: narrow ones are 0.42 radians from the geodesic, wide ones 0.17.

line = rg.GeodesicRegression(metric).fit(log_width, points)
test = line.permutation_test(log_width, points)
predicted = line.predict(torch.log2(torch.tensor(WIDTHS, dtype=torch.float64)))
print(f"R² {line.r2_:.2f}, p = {test.pvalue:.3f}, {line.slope_norm_:.3f} radians for twice the width")
for w, point in zip(WIDTHS, predicted, strict=True):
    beside = line.residuals_[width == w].mean()
    print(
        f"width {w:3d}: dimension {dimension(point):4.1f}, to the pixels {metric.dist(point, pixels):.2f}, "
        f"networks are {beside:.2f} radians from the geodesic"
    )

groups = [f"{w} units" for w in width]
to_pixels = metric.dist(points, pixels).numpy()
with style():
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.4, 4.6), width_ratios=(1.25, 1), layout="constrained"
    )
    principal_components(
        scores[:, :2], pca.explained_variance_ratio_[:2], groups=groups, unit="radians", legend=False, ax=left
    )
    left.set_title("The first component is width")
    for name, look in group_styles(groups).items():
        rows = [group == name for group in groups]
        mark(right, width[rows], to_pixels[rows], look, area=55, label=name)
    right.plot(WIDTHS, metric.dist(predicted, pixels), color=INK, lw=2.2, label="regression")
    right.set_xscale("log", base=2)
    right.set_xticks(WIDTHS, [str(w) for w in WIDTHS])
    right.minorticks_off()
    right.set(xlabel="units of the hidden layer", ylabel="distance to the pixels (radians)", ylim=(0.2, None))
    right.text(8, 0.46, "without the\naccidents of seeds", color=MUTED, va="top", fontsize=9.5)
    right.set_title("Wide networks stay near the pixels")
    right.legend(loc="upper right", ncols=2)
    tidy(right)

plt.show()
