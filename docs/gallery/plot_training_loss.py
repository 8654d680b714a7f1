"""
Training towards a representation, and away from it
===================================================

A distance of representations is differentiable, so that it can be part of a loss: a network learns its task
and, at the same time, to represent the inputs as another one does, or as differently as it can.
"""

# %%
# One network learns the digits first. Its hidden layer is the target.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from repsim_geo import AngularCKA, cka, compare
from repsim_geo.demo.training import load_digits_split
from repsim_geo.recipes import MinibatchCKA, RepresentationLoss
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

digits = load_digits_split()
images, labels = digits.train_images.flatten(1), digits.train_labels
held_out, held_out_labels = digits.test_images.flatten(1), digits.test_labels


class Network(nn.Module):
    """Two hidden layers of 64 units; returns the second one, and the logits."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.readout = nn.Linear(64, 10)

    def forward(self, images):
        layer = self.hidden(images)
        return layer, self.readout(layer)


def train(seed, extra=None, other=None, epochs=30):
    """A network; and after each epoch its distance from the other one and its accuracy on new images."""
    torch.manual_seed(seed)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    history = [look(network, other)]
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            layer, logits = network(images[rows])
            loss = cross_entropy(logits, labels[rows])
            if extra is not None and other is not None:
                loss = loss + extra(layer, other(images[rows])[0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(look(network, other))
    return network, np.array(history).T


@torch.no_grad()
def look(network, other):
    """Distance from the other network in radians, and accuracy in percent."""
    layer, logits = network(held_out)
    distance = float("nan") if other is None else float(compare(layer, other(held_out)[0]))
    return distance, 100 * float((logits.argmax(1) == held_out_labels).double().mean())


target, _ = train(0)

# %%
# Three ways to train another one
# -------------------------------
#
# The loss is called like any other, with two tensors of activations of the same inputs. Away from the target
# means up to the largest angle there is, a quarter of a turn. Each way is taken from three seeds.

towards, away = RepresentationLoss("angular_cka"), RepresentationLoss("angular_cka", away=True)
WAYS = {
    "away from the target": (lambda x, y: away(x, y), PALETTE[1]),
    "the task alone": (None, INK),
    "towards the target": (lambda x, y: 3 * towards(x, y), PALETTE[5]),
}
runs = {name: np.stack([train(s, extra, target)[1] for s in (1, 2, 3)]) for name, (extra, _) in WAYS.items()}
for name, run in runs.items():
    distance, accuracy = run[:, :, -1].mean(0)
    print(f"{name:22} distance {distance:.2f} rad, accuracy {accuracy:.1f} %")

# %%
# The colors part in the first epoch: pushed away, a network ends at 1.45 rad from the target, nearly a right
# angle; pulled, at 0.07; by itself, at 0.24. All recognize the digits as well, within 0.7 percentage points.


def name_ends(ax, x, ends, gap):
    """Write names beside the ends of their lines, without overlap."""
    last = -np.inf
    for y, name, color in sorted(ends):
        last = max(y, last + gap)
        ax.text(x, last, name, color=color, va="center", fontsize=9.5)


with style():
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
    for name, (_, color) in WAYS.items():
        for ax, curves in zip(axes, runs[name].transpose(1, 0, 2), strict=True):
            ax.plot(curves.T, color=color, lw=0.8, alpha=0.35)
            ax.plot(curves.mean(0), color=color, lw=2.2, solid_capstyle="round")
    ends = [(runs[name][:, 0, -1].mean(), name, color) for name, (_, color) in WAYS.items()]
    name_ends(axes[0], 30.8, ends, 0.08)
    ends = [
        (run[:, 1, -1].mean(), f"{run[:, 1, -1].mean():.1f} %", WAYS[name][1]) for name, run in runs.items()
    ]
    name_ends(axes[1], 30.8, ends, 1.0)
    axes[0].axhline(np.pi / 2, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    axes[0].text(0.5, np.pi / 2 + 0.025, "nothing in common", color=MUTED, fontsize=9, va="bottom")
    axes[0].set(
        ylabel="angle to the target layer (radians)", ylim=(0, 1.72), title="The distance does as asked"
    )
    axes[1].set(
        ylabel="held-out digits recognized (%)", ylim=(79, 100), title="The task is learned all the same"
    )
    axes[1].set_yticks([80, 85, 90, 95, 100])
    axes[0].set_yticks(
        [0, np.pi / 8, np.pi / 4, 3 * np.pi / 8, np.pi / 2], ["0", "π/8", "π/4", "3π/8", "π/2"]
    )
    for ax in axes:
        ax.set(xlabel="epoch", xlim=(0, 30))
        tidy(ax)
plt.show()

# %%
# Small batches
# -------------
#
# A distance on a batch is not the distance on all inputs. The fewer rows, the more alike any two layers look:
# with the mean over batches a bias remains that no number of batches removes. ``MinibatchCKA`` averages the
# unbiased parts of which CKA is made and takes the ratio once; ``MinibatchCKALoss`` is the loss to it. Here
# are a trained network and an untrained one, whose layers have 64 units, on all images in one pass.

trained, _ = train(1, epochs=3)
torch.manual_seed(7)
with torch.no_grad():
    x, y = trained(images)[0], Network()(images)[0]
whole = float(cka(x, y, debiased=True).acos())
SIZES = (8, 16, 32, 64, 128)
averages, estimates = [], []
for size in SIZES:
    estimator, angles = MinibatchCKA(), []
    for rows in torch.randperm(len(x)).split(size):
        if len(rows) == size:
            estimator.update(x[rows], y[rows])
            angles.append(float(compare(x[rows], y[rows], AngularCKA())))
    averages.append(np.mean(angles))
    estimates.append(estimator.compute())

# %%
# In batches of 8 images the layers look much more alike than they are, 0.70 rad apart instead of 0.89; the
# estimates from the same batches, with two standard errors, agree with the line at all sizes.

with style():
    figure, ax = plt.subplots(figsize=(6.4, 3.9), layout="constrained")
    ax.axhline(whole, color=INK, lw=1.2)
    ax.text(150, whole, "all images\nat once", va="center", color=INK, fontsize=9.5)
    ax.plot(SIZES, averages, "o-", color=PALETTE[1], lw=1.6, ms=6, mec="white")
    ax.text(9, averages[0], "mean of the angles in batches", va="center", color=PALETTE[1], fontsize=9.5)
    middle = [float(e.angle) for e in estimates]
    error = [2 * float(e.angle_standard_error) for e in estimates]
    ax.errorbar(
        SIZES, middle, error, fmt="D", color=PALETTE[5], ms=6, mec="white", capsize=0, lw=1.6, zorder=3
    )
    ax.text(
        SIZES[0] * 1.08, middle[0] - error[0], "MinibatchCKA", va="center", color=PALETTE[5], fontsize=9.5
    )
    ax.set_xscale("log", base=2)
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.minorticks_off()
    ax.set(xlabel="images in a batch", ylabel="angle between the layers (radians)", xlim=(6.5, 145))
    tidy(ax)
plt.show()
