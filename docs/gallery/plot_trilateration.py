"""
A representation at given distances
===================================

Satellites find a place on earth from distances alone. With networks for satellites the same works in a space
of representations: is there a representation at these distances from those networks, and which?
"""

# %%
# Lost and found
# --------------
#
# We train three small architectures on scikit-learn's digits, four networks of each, and look at the last
# hidden layer on four images. The points are Gram matrices (``AngularCKA``), which for so few images have no
# more than five dimensions.
#
# Take a network away, keep nothing but its distances to some of the others, and look for it. Few distances
# are easily met; but the point that has them is the network only if there are enough.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import twelve_networks

import repsim_geo as rg
from repsim_geo.recipes import trilaterate
from repsim_geo.viz.looks import FAINT, INK, MUTED, PALETTE, style, tidy

population = twelve_networks()

names = [network.architecture for network in population.networks]
metric = rg.AngularCKA()
points = torch.stack([metric.embed(network.last_hidden[:40:10].double()) for network in population.networks])
distances = metric.cdist(points, points)

counts = np.arange(1, 9)
off, missed = np.zeros((len(points), len(counts))), 0.0
for lost in range(len(points)):
    others = [
        i for i in torch.randperm(12, generator=torch.Generator().manual_seed(lost)).tolist() if i != lost
    ]
    for column, count in enumerate(counts):
        landmarks = others[:count]
        found = trilaterate(metric, points[landmarks], distances[lost, landmarks], n_starts=4)
        off[lost, column] = float(metric.dist(found.point, points[lost]))
        missed = max(missed, found.error)
print(f"largest error of a distance: {missed:.1e} radians")
print("median error of the place:", np.median(off, 0).round(4))

# %%
# As far from one as from the others
# ----------------------------------
#
# Asked for a point at the same distance from the Fréchet means of all three architectures, the search has an
# answer for every distance: the best compromise as long as the distance is too small, and points that have it
# from then on. The least that can be had is the radius of the smallest circle through the three means.

kinds = list(dict.fromkeys(names))
means = torch.stack(
    [
        rg.FrechetMean(metric).fit(points[[i for i, n in enumerate(names) if n == kind]]).mean_
        for kind in kinds
    ]
)
radii = np.linspace(0.9, 1.5, 13) * float(metric.cdist(means, means).max()) / 2
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of triangle inequalities: too small distances are the point
    equally = [trilaterate(metric, means, [float(r)] * 3) for r in radii]
least = next(float(r) for r, found in zip(radii, equally, strict=True) if found.met)
print(metric.cdist(means, means).numpy().round(3), f"least common distance {least:.3f} radians")

# %%
# Left: from five distances the place is still off by 0.03 radians in the median, because mirror images are at
# the same distances; from seven on, all twelve networks are found to nine digits (one of them is missed with
# six, where all four starts end in local minima). Right: below 0.17 radians the distances of the three colors
# part.

with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.3), layout="constrained")
    shown = np.maximum(off, 1e-9)
    left.semilogy(counts, shown.T, color=FAINT, lw=1.2, zorder=1)
    left.semilogy(
        counts, np.median(shown, 0), color=PALETTE[5], lw=2.4, marker="o", ms=6, mec="white", zorder=3
    )
    left.text(6.4, 1e-3, "the space has\nfive dimensions", color=MUTED)
    left.set(
        xlabel="networks whose distances are known", ylabel="error of the place (radians)", xticks=counts
    )
    left.set_title("From enough distances a network is found again")

    for kind, color, column in zip(kinds, (PALETTE[1], PALETTE[5], PALETTE[6]), range(3), strict=True):
        right.plot(radii, [float(f.distances[column]) for f in equally], color=color, lw=2, label=kind)
    right.plot(radii, radii, color=INK, lw=1, ls=":", label="asked for")
    right.axvline(least, color=MUTED, lw=1)
    right.text(least + 0.002, radii[0], "from here on, all three are met", color=MUTED, va="bottom")
    right.set(xlabel="distance asked for (radians)", ylabel="distance of the point that was found (radians)")
    right.set_title("Equally far from three architectures")
    right.legend()
    for ax in (left, right):
        tidy(ax)

plt.show()
