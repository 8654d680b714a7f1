"""
The mean of many networks
=========================

Every network has its own units, so that activations cannot be averaged. Shapes can: the Fréchet mean is the
representation with the least sum of squared distances to all.
"""

# %%
# Nearer to all than any of them
# ------------------------------
#
# 32 networks of eight architectures have learned scikit-learn's digits. Points are their last hidden layers
# on 100 held-out images under ``angular_shape``, the angle of two clouds after the best rotation. The best
# representative among the networks is the medoid. Networks are 0.38 radians from it (root mean square), and
# 0.31 radians from the mean, which is no network, but has activations like one. The eight that are nearer
# to the medoid are that network and the others with one hidden layer.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of
from scipy.stats import spearmanr

import repsim_geo as rg
from repsim_geo.viz.looks import INK, MUTED, PALETTE, group_styles, mark, style, tidy

population = networks_of()
networks = population.networks
reps = [network.last_hidden.double() for network in networks]

shape = rg.AngularShape().resolve(reps)
points = torch.stack([shape.embed(x) for x in reps])
mean = rg.FrechetMean(shape).fit(points)
distances = shape.cdist(points, points)
middle = int(rg.medoid(distances**2))
to_mean, to_medoid = shape.dist(points, mean.mean_), distances[middle]
for name, values in (("mean", to_mean), (f"medoid, {networks[middle].name}", to_medoid)):
    print(f"to the {name}: root mean square {float(values.square().mean()) ** 0.5:.3f} radians")
print("nearer to the mean than to the medoid:", int((to_mean < to_medoid).sum()), "of", len(networks))

# %%
# Is it the only one?
# -------------------
#
# On a curved space a mean can be one of several. For Gram matrices (``AngularCKA``) a theorem says that it
# is not, and the certificate bounds the error of what was computed. For shapes this far apart
# ``FrechetMean`` knows of no theorem: ``unique_`` is None, which is not a no. So we look, and start from a
# network of each architecture. All eight searches end at the same point, to the last digit.

grams = rg.AngularCKA()
certified = rg.FrechetMean(grams).fit(torch.stack([grams.embed(x) for x in reps]))
print(f"Gram matrices: unique {certified.unique_}, within {float(certified.error_bound_):.0e} radians")
print(f"shapes: unique {mean.unique_}, converged {mean.converged_}")
starts = [population.members(name)[0] for name in population.architectures]
again = torch.stack([rg.FrechetMean(shape, init=points[i]).fit(points).mean_ for i in starts])
print(
    f"largest distance of means from {len(starts)} starts: {float(shape.dist(again, mean.mean_).max()):.0e}"
)

# %%
# Which images do they agree on?
# ------------------------------
#
# Turned to the mean, all networks answer in the same units, and can be compared image by image, as Saha, He
# and Khosla (2026) do: we take the cosine between the answer of a network and that of the mean, averaged
# over networks. It is 0.96 in the median. What networks agree on is what they are sure of: agreement has a
# rank correlation of 0.57 with the probability that they give to the right digit. Of the eight images with
# the least agreement, six are eights.

turned = torch.stack([shape.action.align(mean.mean_, point).matrix for point in points])
agreement = torch.cosine_similarity(turned, mean.mean_, dim=-1).mean(0).numpy()
sure = torch.stack(
    [
        net.layers["logits"].softmax(1)[torch.arange(len(population.labels)), population.labels]
        for net in networks
    ]
)
sure = sure.mean(0).numpy()
order = np.argsort(agreement)
print(f"agreement: median {np.median(agreement):.2f}, from {agreement.min():.2f} to {agreement.max():.2f}")
print(f"rank correlation with the probability of the right digit: {spearmanr(agreement, sure).statistic:.2f}")
print("digits with the least agreement:", population.labels[order[:8]].tolist())

with style():
    figure = plt.figure(figsize=(11.0, 4.8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.05, 1))
    ax = left.subplots()
    names = population.architectures
    for row, (name, look) in enumerate(group_styles(names).items()):
        members = population.members(name)
        others = [i for i in members if i != middle]
        ax.scatter(
            to_medoid[others], np.full(len(others), row), s=34, color="white", edgecolor=MUTED, zorder=2
        )
        mark(ax, to_mean[members], np.full(len(members), row), look, area=58)
    ax.scatter([], [], s=34, color="white", edgecolor=MUTED, label=f"to the medoid, {networks[middle].name}")
    ax.scatter([], [], s=40, color=INK, label="to the mean")
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="distance of every network (radians)", xlim=(0, None))
    ax.set_title("From the mean, and from the medoid")
    ax.legend(loc="lower left")
    tidy(ax)

    above, below = right.subfigures(2, 1, height_ratios=(1.7, 1))
    ax = above.subplots()
    ax.scatter(agreement, sure, s=22, color=PALETTE[5], edgecolor="white", linewidth=0.5)
    ax.set(xlabel="agreement on an image (cosine)", ylabel="probability of the right digit")
    ax.set_title("Images: what networks are sure of, they agree on")
    tidy(ax)
    grid = below.subplots(2, 8)
    for row, images, title in ((0, order[:8], "least agreement"), (1, order[-8:], "most agreement")):
        grid[row, 0].set_title(title, fontsize=9, color=MUTED, fontweight="normal", pad=3)
        for ax, image in zip(grid[row], images, strict=True):
            ax.imshow(population.images[image].reshape(8, 8), cmap="gray_r")
            ax.axis("off")

plt.show()
