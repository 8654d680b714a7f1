"""
Learning as a path
==================

While a network learns, its representation moves. Does a smaller learning rate lead along another way, or
along the same way, more slowly? And do different seeds have a way in common?
"""

# %%
# Checkpoints
# -----------
#
# Small networks learn scikit-learn's digits with Adam, from six seeds, with a learning rate of 0.004 and
# again, from the same weights and on the same batches, with 0.001. At eleven checkpoints, each after twice
# as many steps as the one before, we look at the second hidden layer on 100 held-out images. A network is
# then a path of eleven Gram matrices.

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

import repsim_geo as rg
from repsim_geo.demo.training import balanced_subset, load_digits_split
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

digits = load_digits_split()
images, labels = digits.train_images.flatten(1), digits.train_labels
held_out = digits.test_images.flatten(1)
probe = balanced_subset(digits.test_labels, 10)
metric = rg.AngularCKA()
STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def learn(seed, rate):
    """Points of the second hidden layer at all checkpoints, and the accuracy at the last one."""
    torch.manual_seed(seed)
    hidden = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    readout = nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*hidden.parameters(), *readout.parameters()], lr=rate)
    path = []
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            with torch.no_grad():
                path.append(metric.embed(hidden(held_out[probe]).double()))
        rows = torch.randint(len(images), (64,))
        loss = cross_entropy(readout(hidden(images[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = readout(hidden(held_out)).argmax(1) == digits.test_labels
    return torch.stack(path), float(right.double().mean())


SEEDS = 6
paths = {}
for name, rate in (("fast", 4e-3), ("slow", 1e-3)):
    runs = [learn(seed, rate) for seed in range(SEEDS)]
    paths[name] = torch.stack([path for path, _ in runs])
    print(f"{name}: accuracy {min(a for _, a in runs):.3f} to {max(a for _, a in runs):.3f}")
fast, slow = paths.values()

# %%
# One way at two speeds
# ---------------------
#
# After equally many steps, fast and slow networks of one seed are 0.33 radians apart, in the mean over
# checkpoints. ``dynamic_time_warping`` couples the checkpoints of two paths, in order, so that the sum of
# distances is least. Coupled checkpoints are 0.15 radians apart, and most of them have steps in the ratio
# of one to four, which is that of the learning rates. So the slow networks go where the fast ones have
# been. Between different seeds there is nothing to gain: coupled or not, they are 0.63 radians apart.

warped = rg.dynamic_time_warping(metric, fast, slow)
per_pair = warped.distance / warped.coupling.sum((-1, -2))
print(f"fast and slow: same step {metric.dist(fast, slow).mean():.2f}, coupled {per_pair.mean():.2f} radians")
others = fast.roll(1, 0)
of_seeds = rg.dynamic_time_warping(metric, fast, others)
per_pair = of_seeds.distance / of_seeds.coupling.sum((-1, -2))
print(
    f"other seeds  : same step {metric.dist(fast, others).mean():.2f}, coupled {per_pair.mean():.2f} radians"
)
inner = warped.coupling.sum(0)[
    1:-2, 1:
]  # steps 1 to 128 of the fast networks; 4 times 128 is where slow ones end
ratios = {2**k: int(inner.diagonal(k).sum()) for k in range(-1, 6)}
print("coupled pairs by the ratio of their steps, slow to fast:", ratios, "of", int(inner.sum()))

# %%
# What seeds have in common
# -------------------------
#
# Before they learn, networks of different seeds are 1.00 radians apart; in the end 0.27. The mean path has
# the Fréchet mean of each checkpoint, and ``unique_`` says that there is no other. It is shorter than the
# way of a network, 1.65 radians where they go 2.52, and straighter: detours that each seed takes for itself
# are averaged away. But what is left is no geodesic either; it turns by 44 degrees or more at every
# checkpoint.

apart = torch.stack([metric.dist(fast[i], fast[j]) for i in range(SEEDS) for j in range(i)]).mean(0)
print("different seeds, by checkpoint:", apart.numpy().round(2))
target = metric.embed(one_hot(digits.test_labels[probe], 10).double())
mean = rg.MeanPath(metric).fit(fast)
each, middle = rg.describe_path(metric, fast, target), rg.describe_path(metric, mean.mean_, target)
print(f"a network: length {each.length.mean():.2f}, straightness {each.straightness.mean():.2f}")
print(f"mean path: length {middle.length:.2f}, straightness {middle.straightness:.2f}, unique {mean.unique_}")
turns = middle.turning_angles.rad2deg()
print(f"its turns: {turns.min():.0f} to {turns.max():.0f} degrees")

everything = torch.cat([*fast, *slow, mean.mean_, target[None]])
mds = rg.MetricMDS().fit(metric.cdist(everything, everything))
flat = mds.embedding_[: -1 - len(STEPS)].reshape(2, SEEDS, len(STEPS), 2)
print(f"stress of the map {mds.stress_:.2f}")

with style():
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.0, 5.0), width_ratios=(1.2, 1), layout="constrained"
    )
    for seed, color in zip(range(SEEDS), (*PALETTE[:2], *PALETTE[3:7]), strict=True):
        left.plot(*flat[0, seed].T, "o-", color=color, ms=3.5, lw=1.4)
        left.plot(*flat[1, seed].T, "o--", color=color, ms=3.5, lw=1.2, mfc="white")
    left.plot(*mds.embedding_[-1 - len(STEPS) : -1].T, color=INK, lw=2.6, label="mean path, fast")
    for text, point, shift in (("start", -1 - len(STEPS), (6, 3)), ("end", -2, (-6, -12))):
        left.annotate(text, mds.embedding_[point], shift, textcoords="offset points", weight="bold")
    left.plot([], [], "o-", color=MUTED, ms=3.5, label="learning rate 0.004")
    left.plot([], [], "o--", color=MUTED, ms=3.5, mfc="white", label="learning rate 0.001")
    left.scatter(*mds.embedding_[-1], s=150, marker="*", color=INK, edgecolor="white", zorder=5)
    left.annotate(
        "labels",
        mds.embedding_[-1],
        (0, -11),
        textcoords="offset points",
        ha="center",
        va="top",
        weight="bold",
    )
    left.set(xlabel="first map coordinate (radians)", ylabel="second map coordinate (radians)")
    left.set_aspect("equal", adjustable="datalim")
    left.set_title("Six seeds, two learning rates")
    left.legend(loc="best")

    counts = warped.coupling.sum(0)
    i, j = counts.nonzero(as_tuple=True)
    right.plot([1, 8], [3, 10], color=PALETTE[1], lw=6, alpha=0.3, solid_capstyle="round")
    right.text(3.6, 7.1, "four times\nas many steps", color=PALETTE[1], ha="right", fontsize=9.5)
    right.scatter(i, j, s=18 * counts[i, j], color=PALETTE[5], edgecolor="white", zorder=3)
    for axis, rate in ((right.xaxis, "0.004"), (right.yaxis, "0.001")):
        axis.set_ticks(range(len(STEPS)), [str(step) for step in STEPS])
        axis.set_label_text(f"steps with learning rate {rate}")
    right.set_aspect("equal")
    right.set_title("Which checkpoints are coupled")
    for ax in (left, right):
        tidy(ax)

plt.show()
