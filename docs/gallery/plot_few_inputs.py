"""
Few inputs, many units
======================

With few inputs and many units everything looks alike. It is the most common trap in comparing networks, and
good data do not protect from it. How does one notice, and what helps?
"""

# %%
# A pair, and a pair that is none
# -------------------------------
#
# Two convolutional networks with 512 units in their last hidden layer have learned scikit-learn's digits.
# We compare them on the first m of 500 held-out images in random order: as they are, and with the images of
# one network shuffled, so that nothing is left that both could have in common.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of

import repsim_geo as rg
from repsim_geo.demo.architectures import Architecture
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

population = networks_of([Architecture("CNN", 16, 3)], per_class=50)
x, y = (network.last_hidden.double() for network in population.networks[:2])
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
x, y = x[order], y[order]
print(f"{len(x)} images, {x.shape[1]} units")
SIZES = (8, 16, 32, 64, 128, 256, 500)
METRICS = {
    "Shapes": rg.AngularShape(),
    "CKA": rg.AngularCKA(),
    "CKA, debiased": rg.AngularCKA(debiased=True),
}


def shuffled(m, metric):
    """Distances on the first m images, with those of the second network in 20 random orders."""
    generator = torch.Generator().manual_seed(m)
    orders = [torch.randperm(m, generator=generator) for _ in range(20)]
    return [float(rg.compare(x[:m], y[rows], metric)) for rows in orders]


paired = {name: [float(rg.compare(x[:m], y[:m], metric)) for m in SIZES] for name, metric in METRICS.items()}
unpaired = {name: np.array([shuffled(m, metric) for m in SIZES]) for name, metric in METRICS.items()}
for name in METRICS:
    print(f"{name:13s} paired  ", np.round(paired[name], 2))
    print(f"{name:13s} shuffled", unpaired[name].mean(1).round(2), "±", unpaired[name].std(1).round(2))

# %%
# With 8 images, networks that have nothing in common are 0.34 radians apart as shapes, nearer than the two
# real networks are on 500 images (0.38). The angle of CKA is 0.64 where it should be a right angle, and
# still 1.47 with 128 images. A number from one study cannot be compared with one from another that has
# fewer images.
#
# The debiased angle is right for shuffled networks on the average at every size, 1.57 to 1.61 radians, and
# for the real ones it hardly changes from 32 images on. What it cannot do is make few images many: with 8,
# single values scatter by 0.27 radians.
#
# Compared with chance
# --------------------
#
# For other metrics, chance can be measured. ``calibrate`` shuffles the images a thousand times, and says
# how far a distance is below the 5 % quantile of what it finds: 0 is chance, 1 is equality. That the two
# networks have something in common is certain from 8 images (p = 0.001 for all three); but how much, 8
# images do not say: the scores are 0.40 to 0.51 there, 0.70 to 0.77 for 16 and 0.71 to 0.74 for 32.

for m in SIZES[:3]:
    for name, metric in METRICS.items():
        print(f"{m:2d} images, {name:13s}", rg.calibrate(x[:m], y[:m], metric))

# %%
# Some metrics need more inputs than units to say anything at all. Ours then say so:

try:
    rg.compare(x[:32], y[:32], rg.AngularShape(whiten=1.0))
except rg.ShapeError as error:
    print(error)

# %%
# Gray bands are two standard deviations of shuffled networks; the dotted line is a right angle.

with style():
    figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.9), sharey=True, layout="constrained")
    for ax, name in zip(axes, METRICS, strict=True):
        middle, spread = unpaired[name].mean(1), 2 * unpaired[name].std(1)
        ax.axhline(np.pi / 2, color=INK, lw=1, ls=":")
        ax.fill_between(SIZES, middle - spread, middle + spread, color=MUTED, alpha=0.25, lw=0)
        ax.plot(SIZES, middle, color=MUTED, lw=2.2)
        ax.plot(SIZES, paired[name], "o-", color=PALETTE[5], lw=2.2, ms=6, mec="white")
        ax.set_xscale("log", base=2)
        ax.set_xticks(SIZES, [str(m) for m in SIZES])
        ax.minorticks_off()
        ax.set(xlabel="images", ylim=(0, 2.25))
        ax.set_title(name)
        tidy(ax)
    axes[0].set_ylabel("distance (radians)")
    axes[1].text(40, 1.2, "shuffled", color=MUTED, va="top", weight="bold")
    axes[1].text(40, 0.42, "two networks", color=PALETTE[5], va="bottom", weight="bold")

plt.show()
