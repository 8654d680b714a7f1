"""
Networks as paths
=================

Lange et al. (2023) look at a network as a path: it starts at the inputs, takes a step with every layer, and
ought to end at the labels. How long is the way, how straight, and how far does it get?
"""

# %%
# From the pixels to the labels
# -----------------------------
#
# Points are Gram matrices of 100 held-out digits (``AngularCKA``): of the pixels, of every layer, and of
# the one-hot labels. Between the pixels and the labels lie 0.99 radians. ``describe_path`` says what there
# is to say of one network: its steps, the turn at each layer, and where the nearest point of the geodesic
# from the pixels to the labels is: the fraction ``t`` of the way, and the deviation from it.

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of

import repsim_geo as rg
from repsim_geo.demo.architectures import POPULATION
from repsim_geo.demo.training import balanced_subset, load_digits_split
from repsim_geo.viz import layer_paths
from repsim_geo.viz.looks import FAINT, INK, MUTED, group_styles, mark, style, tidy

population = networks_of()
metric = rg.AngularCKA()
pixels, labels = metric.embed(population.images.double()), metric.embed(population.targets.double())
whole = float(metric.dist(pixels, labels))
print(f"pixels to labels: {whole:.3f} radians")


def path_of(layers):
    return torch.stack([pixels, *[metric.embed(layer.flatten(1).double()) for layer in layers.values()]])


shown = {name: population.networks[population.members(name)[0]] for name in population.architectures}
paths = {name: path_of(network.layers) for name, network in shown.items()}
name = "CNN 16x3"
print(rg.describe_path(metric, paths[name], labels, names=["pixels", *shown[name].layers]))

# %%
# All of them
# -----------
#
# Means over four seeds. No network goes straight: the ways are 1.2 to 1.8 times as long as the distance of
# their ends, and at every layer they turn by 67 to 85 degrees. Hidden layers come nearer to the labels step
# by step, most of all in the deep fully connected networks: 0.77 radians for width 256. The logits then
# turn off, and are farther from the labels than a hidden layer in every architecture: for the largest entry
# to be the right one, they need not be one-hot vectors.
#
# Untrained networks of the same architectures are the control. They go as far, but not towards the labels:
# to 6 % of the way at most, and no layer is nearer to the labels than 0.99 radians, where the pixels are.
# Their turns, 83 to 96 degrees, are those of steps in directions that have nothing to do with each other.

digits = load_digits_split()
images = digits.test_images[balanced_subset(digits.test_labels, 10)]
print("                       length  straight  turns at layers  nearest layer  logits  farthest t")
for architecture in POPULATION:
    with torch.no_grad():
        untrained = [architecture.build(torch.Generator().manual_seed(seed))(images) for seed in range(4)]
    trained = [population.networks[i].layers for i in population.members(architecture.name)]
    for kind, several in (("trained  ", trained), ("untrained", untrained)):
        found = rg.describe_path(metric, torch.stack([path_of(layers) for layers in several]), labels)
        turns = found.turning_angles.mean(0).rad2deg()
        t, to_labels = found.progress.t.mean(0), found.progress.to_end.mean(0)
        print(
            f"{architecture.name:11s} {kind}  {found.length.mean():6.2f}  {found.straightness.mean():8.2f}"
            f"     {turns.min():4.0f} to {turns.max():3.0f}°  {to_labels[1:].min():13.2f}"
            f"  {to_labels[-1]:6.2f}  {t.max():10.2f}"
        )

# %%
# Two pictures
# ------------
#
# Left, one network of each architecture in a map of two dimensions, which bends all distances. Right,
# nothing is bent: how far along the geodesic a layer is and how far beside it are two numbers of each
# layer. All networks leave the geodesic at once, and none comes back.

points = torch.cat([pixels[None], labels[None], *[path[1:] for path in paths.values()]])
mds = rg.MetricMDS().fit(metric.cdist(points, points))
print(f"stress of the map {mds.stress_:.2f}")
ends = np.cumsum([2, *[len(path) - 1 for path in paths.values()]])
start = mds.embedding_[:1]
flat = {
    name: torch.cat([start, mds.embedding_[a:b]])
    for name, a, b in zip(paths, ends[:-1], ends[1:], strict=True)
}

with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.6, 5.0), layout="constrained")
    layer_paths(
        flat,
        {"pixels": mds.embedding_[0], "labels": mds.embedding_[1]},
        unit="radians",
        legend=False,
        ax=left,
    )
    left.set_title("Paths in a map")

    looks = group_styles(paths)
    right.plot([0, whole], [0, 0], color=FAINT, lw=6, solid_capstyle="round", zorder=1)
    for name, path in paths.items():
        progress = rg.path_progress(metric, path, pixels, labels)
        along, beside = (progress.t * whole).numpy(), progress.deviation.numpy()
        right.plot(along, beside, color=looks[name].color, lw=1.8, alpha=0.85)
        mark(right, along, beside, looks[name], area=50, label=name)
    for x, text in ((0, "pixels"), (whole, "labels")):
        right.scatter(x, 0, s=150, marker="*", color=INK, edgecolor="white", linewidth=0.8, zorder=5)
        right.annotate(
            text, (x, 0), (0, -9), textcoords="offset points", ha="center", va="top", weight="bold"
        )
    right.text(whole / 2, 0.02, "geodesic", color=MUTED, ha="center", va="bottom", fontsize=9)
    right.set(xlabel="along the geodesic (radians)", ylabel="distance to it (radians)", ylim=(-0.08, None))
    right.set_aspect("equal")
    right.set_title("The same paths, along the geodesic and beside it")
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    tidy(right)

plt.show()
