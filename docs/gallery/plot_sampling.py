"""
Networks at random
==================

Around the mean of trained networks one can draw random representations, from a normal distribution on the
space of representations. Do real networks look like that?
"""

# %%
# As far from the mean, and yet elsewhere
# ---------------------------------------
#
# Twelve small networks have learned scikit-learn's digits. Their last hidden layers on ten images, one of
# every digit, are shapes with four columns (``AngularShape(p=4)``), in a space of 29 dimensions. The normal
# distribution around their Fréchet mean with the same variance has the scale ``sqrt(variance / dimension)``:
# we draw 300 representations from it.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import twelve_networks

import repsim_geo as rg
from repsim_geo.recipes import sample_around
from repsim_geo.viz.looks import PALETTE, GroupStyle, mark, style, tidy

population = twelve_networks()

metric = rg.AngularShape(p=4)
points = torch.stack([metric.embed(network.last_hidden[::10].double()) for network in population.networks])
mean = rg.FrechetMean(metric).fit(points)
scale = float(mean.variance_ / metric.dim(10, 4)) ** 0.5
sample = sample_around(metric, mean.mean_, scale, 300, generator=torch.Generator().manual_seed(0))
print(f"scale {scale:.3f}, accepted {sample.acceptance:.2f}, memory {sample.memory:.2f}")

pca = rg.TangentPCA(metric).fit(points)
real, drawn = (pca.transform(p).numpy() for p in (points, sample.points))
distances = metric.dist(points, mean.mean_).numpy()
print(f"real networks: {distances.mean():.3f} ± {distances.std():.3f} radians from the mean")
print(f"drawn: {float(sample.distances.mean()):.3f} ± {float(sample.distances.std()):.3f}")
print("variance of the first two components, real:", pca.explained_variance_ratio_[:2].numpy().round(2))
share = drawn[:, :2].var(0) / float(sample.distances.square().mean())
print("drawn:", share.round(3))

kinds = list(dict.fromkeys(network.architecture for network in population.networks))
colors = (PALETTE[1], PALETTE[5], PALETTE[6])
looks = {kind: GroupStyle(*look) for kind, *look in zip(kinds, colors, "so^", strict=True)}

# %%
# Left: real networks spread over the two directions in which they differ most, which hold 64 % of their
# variance; of the random ones, for which all directions are alike, they hold 6 %. Right: in 29 dimensions all
# random ones are about as far from the mean, 0.28 radians give or take 0.04, where real networks are from
# 0.14 to 0.48 away. A normal distribution with one scale is no model of trained networks.

with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.6), width_ratios=(3, 2), layout="constrained")
    left.scatter(*drawn[:, :2].T, s=12, color="#aab1bd", label="drawn at random", linewidth=0, zorder=2)
    for kind in kinds:
        rows = [i for i, n in enumerate(population.networks) if n.architecture == kind]
        mark(left, *real[rows, :2].T, looks[kind], area=75, label=kind)
    left.set_aspect("equal")
    left.set(xlabel="first tangent component (radians)", ylabel="second tangent component (radians)")
    left.set_title("In the directions in which networks differ")
    left.legend(loc="best")

    bins = np.linspace(0, 1.1 * max(distances.max(), float(sample.distances.max())), 34)
    right.hist(sample.distances.numpy(), bins, color="#aab1bd", density=True)
    top = right.get_ylim()[1]
    for kind in kinds:
        rows = [i for i, n in enumerate(population.networks) if n.architecture == kind]
        mark(right, distances[rows], np.full(len(rows), 0.06 * top), looks[kind], area=60)
    right.set(xlabel="distance from the Fréchet mean (radians)", yticks=[], xlim=(0, bins[-1]))
    right.set_ylabel("density of the random ones")
    right.set_title("Distance from the mean")
    for ax in (left, right):
        tidy(ax)

plt.show()
