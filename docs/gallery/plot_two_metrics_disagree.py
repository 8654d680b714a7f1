"""
Two metrics that disagree
=========================

Is a network nearer to its twin, which differs in nothing but the seed, or to a network of another family?
Two good metrics can give two answers to one question. What do they look at?
"""

# %%
# The same pairs under two metrics
# --------------------------------
#
# 32 networks have learned scikit-learn's digits. We take their last hidden layers on 100 held-out images,
# and compare all 496 pairs by ``angular_cka``, the angle of Gram matrices, and by ``angular_shape``, the
# angle of the activations themselves after the best rotation. On the whole both agree: their rank
# correlation is 0.97. But for one convolutional network CKA finds a deep fully connected network nearer, at
# 0.64 radians, than its twin at 0.69. By shape the twin is at 0.44, the other at 0.54.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of
from scipy.stats import spearmanr

import repsim_geo as rg
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

population = networks_of()
networks = population.networks
names = [network.name for network in networks]
reps = [network.last_hidden.double() for network in networks]
by_cka, by_shape = (rg.pairwise(reps, metric) for metric in ("angular_cka", "angular_shape"))


def all_pairs(matrix):
    return matrix[tuple(torch.triu_indices(len(matrix), len(matrix), 1))]


print(f"rank correlation {spearmanr(all_pairs(by_cka), all_pairs(by_shape)).statistic:.3f}")
me, twin, other = (names.index(name) for name in ("CNN 8x3 #1", "CNN 8x3 #2", "MLP 256x3 #3"))
for name, matrix in (("CKA  ", by_cka), ("shape", by_shape)):
    print(f"{name}: {names[twin]} {matrix[me, twin]:.2f}, {names[other]} {matrix[me, other]:.2f} radians")

# %%
# Variances, and their squares
# ----------------------------
#
# Both look at how the principal components of one network are correlated with those of the other. For a
# shape a component counts by its standard deviation, in both networks: compared with itself, by its
# variance. For CKA it counts by its variance in both: compared with itself, by the square. The first
# component of the twin has 23 % of the variance, but 55 % of the weight in CKA. Nine tenths of the variance
# are in 22 components, nine tenths of the weight in 5. So CKA compares two networks by their few strongest
# directions.

svds = [torch.linalg.svd(x - x.mean(0), full_matrices=False) for x in reps]
for i in (me, twin, other):
    variance = svds[i].S ** 2 / (svds[i].S ** 2).sum()
    weight = variance**2 / (variance**2).sum()
    many, few = (int((share.cumsum(0) < 0.9).sum()) + 1 for share in (variance, weight))
    print(
        f"{names[i]:12s}: first component {variance[0]:.2f} of the variance, {weight[0]:.2f} of the weight; "
        f"nine tenths in {many} and in {few} components"
    )

# %%
# A test of this explanation
# --------------------------
#
# If it is right, then CKA must agree with shapes when components count by their variance. Raise the
# standard deviations of all components to the power 1/2, and leave everything else: now CKA, too, finds the
# twin at 0.48 radians and the other network at 0.59. Over all pairs the rank correlation with shapes goes
# up from 0.967 to 0.996. And there are 1536 ways to take a network, a twin and a network of the other
# family; the twin is farther in 80 of them by CKA, in 37 by shape, and in 37 by CKA with the powers of 1/2.


def cka_with_power(power):
    """Angles of Gram matrices, with the standard deviations of all principal components raised to a power."""
    return rg.pairwise([(u * s**power) @ vt for u, s, vt in svds], "angular_cka")


def strangers_first(matrix):
    """How often a network of another family is nearer than a twin, and out of how many."""
    alike = torch.tensor([[a.architecture == b.architecture and a != b for b in networks] for a in networks])
    apart = torch.tensor([[a.family != b.family for b in networks] for a in networks])
    triples = alike[:, :, None] & apart[:, None, :]
    return int((triples & (matrix[:, :, None] > matrix[:, None, :])).sum()), int(triples.sum())


powers = np.linspace(0.25, 1.25, 21)
matrices = [cka_with_power(power) for power in powers]
halves = cka_with_power(0.5)
print(f"power 1/2: {names[twin]} {halves[me, twin]:.2f}, {names[other]} {halves[me, other]:.2f} radians")
print(f"rank correlation with shapes: {spearmanr(all_pairs(halves), all_pairs(by_shape)).statistic:.3f}")
for name, matrix in (("CKA", by_cka), ("shape", by_shape), ("CKA with power 1/2", halves)):
    print(f"{name}: the stranger is nearer in %d of %d" % strangers_first(matrix))

# %%
# Neither is wrong. Whoever wants to know whether two networks share their strongest directions asks CKA;
# who wants to know whether the weak ones are there too, asks for shapes, or for
# ``AngularShape(whiten=...)``, which counts them still more. If a conclusion hangs on who is nearer, look
# at both.

with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.6), layout="constrained")
    left.scatter(all_pairs(by_cka), all_pairs(by_shape), s=14, color="#aab1bd", linewidth=0)
    two = ((twin, PALETTE[6], "its twin"), (other, PALETTE[1], names[other]))
    for i, color, text in two:
        place = float(by_cka[me, i]), float(by_shape[me, i])
        left.scatter(*place, s=70, color=color, edgecolor="white", zorder=3)
        shift, side = ((10, -4), "left") if i == twin else ((-10, 8), "right")  # where no other pairs are
        left.annotate(text, place, shift, textcoords="offset points", ha=side, color=color, weight="bold")
    left.set(xlabel="angular CKA (radians)", ylabel="angle of shapes (radians)")
    left.set_title(f"All pairs; in color from {names[me]} to …")

    for i, color, text in two:
        right.plot(powers, [float(matrix[me, i]) for matrix in matrices], color=color, lw=2.4)
        right.text(1.27, float(matrices[-1][me, i]), text, color=color, va="center", weight="bold")
    for power, text in ((1, "CKA"), (0.5, "weights\nas for shapes")):
        right.axvline(power, color=MUTED, lw=1, ls=":")
        right.text(power + 0.012, 0.3, text, color=INK, fontsize=9.5, va="bottom")
    right.set(xlabel="power of the standard deviations", xlim=(0.23, 1.5), xticks=[0.25, 0.5, 0.75, 1, 1.25])
    right.set_ylabel(f"angular CKA to {names[me]} (radians)")
    right.set_title("Who is nearer depends on the weights")
    for ax in (left, right):
        tidy(ax)

plt.show()
