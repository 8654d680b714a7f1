"""
Between two networks
====================

On the straightest way from one network to another lie representations that no network has had. How long does
the read-out of the first network stay right on this way, and is what it reads still there?
"""

# %%
# Two ways
# --------
#
# Four MLPs and four CNNs have learned scikit-learn's digits, and make four pairs. We look at their last
# hidden layers on 100 held-out images, and walk from the one to the other along the geodesics of two metrics:
# ``angular_cka``, the angle of Gram matrices, and ``angular_shape``, the angle of activations after the best
# rotation. Along the way logistic regressions are trained on half of the images and tested on the other half:
# on the features of the MLP once and for all, on those of the CNN, and anew at every step. Features of each
# step are turned as near as possible to those of the network whose read-out is asked; that is all that a
# metric that does not notice rotations leaves open.

import matplotlib.pyplot as plt
import torch
from digits_networks import twelve_networks

import repsim_geo as rg
from repsim_geo.recipes import interpolate, read_out_along
from repsim_geo.viz.looks import INK, PALETTE, style, tidy

population = twelve_networks()

train = torch.arange(100) % 2 == 0
times = torch.linspace(0, 1, 11)
pairs = [(population.networks[4 + i], population.networks[8 + i]) for i in range(4)]

ways = {}
for method, title in (("angular_cka", "Gram matrices (angular CKA)"), ("angular_shape", "Shapes")):
    curves = []
    for mlp, cnn in pairs:
        x, y = mlp.last_hidden.double(), cnn.last_hidden.double()
        found = read_out_along(x, y, population.labels, times, method, train=train)
        features = interpolate(x, y, times, method)
        to_labels = torch.stack([rg.compare(f, population.targets.double(), method) for f in features])
        curves.append(torch.stack([found.first, found.second, found.anew, to_labels]))
        print(f"{title}: {mlp.name} to {cnn.name}, {found.distance:.3f} radians")
    ways[title] = torch.stack(curves)
    for name, mean in zip(("MLP", "CNN", "anew", "labels"), ways[title].mean(0), strict=True):
        print(f"   {name:7s}", mean[::5].numpy().round(3))

# %%
# What one sees
# -------------
#
# Nothing is lost on the way. Read-outs of both ends are right in 90 % of the images half-way, as often as at
# home (a single image of 200 is 0.5 %), though they were never trained there; and in the middle, where the
# features of both networks count, Gram matrices come nearer to those of the labels than at either end: 0.95
# radians, after 1.00 for the MLPs and 0.97 for the CNNs. For shapes the way from the MLPs leads away from the
# labels in its second half.

with style():
    figure, axes = plt.subplots(
        2, 2, figsize=(9.6, 6.2), sharex=True, sharey="row", height_ratios=(3, 2), layout="constrained"
    )
    for column, (title, curves) in enumerate(ways.items()):
        top, bottom = axes[:, column]
        for row, color, label in (
            (0, PALETTE[1], "read-out of the MLP"),
            (1, PALETTE[5], "read-out of the CNN"),
            (2, INK, "trained at each step"),
        ):
            top.plot(times, curves[:, row].mean(0), color=color, lw=2.4, label=label)
        top.set_title(title)
        bottom.plot(times, curves[:, 3].T, color=PALETTE[6], lw=1, alpha=0.35)
        bottom.plot(times, curves[:, 3].mean(0), color=PALETTE[6], lw=2.4)
        bottom.set(xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["MLP", "¼", "½", "¾", "CNN"])
        bottom.set_xlabel("fraction of the way")
        for ax in (top, bottom):
            tidy(ax)
    axes[0, 0].set(ylim=(0.8, 1), yticks=[0.8, 0.85, 0.9, 0.95, 1])
    axes[0, 0].set_ylabel("accuracy on images not trained on")
    axes[1, 0].set_ylabel("distance to the labels (radians)")
    axes[0, 1].legend(loc="lower center")

plt.show()
