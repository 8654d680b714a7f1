"""
Images on which two networks differ
===================================

Two networks that have learned the same task represent the images that they were trained for much alike. Which
images would tell them apart?
"""

# %%
# Twenty digits, moved together
# -----------------------------
#
# An MLP and a CNN have learned scikit-learn's digits. We begin with twenty held-out images, two of every
# digit, and climb the distance between the last hidden layers of both networks (``angular_cka``) by moving
# all images at once. Gray levels stay between 0 and 1, and no image moves farther than a Euclidean distance
# of 1.5 from where it was.

import matplotlib.pyplot as plt
import torch
from torch.func import functional_call

from repsim_geo.demo.architectures import Architecture
from repsim_geo.demo.training import TrainingPlan, balanced_subset, load_digits_split, train_ensemble
from repsim_geo.recipes import optimal_stimuli
from repsim_geo.viz.looks import MUTED, style

digits = load_digits_split()


def trained(architecture, layer):
    """From images to a layer of a trained network, and its accuracy."""
    weights = train_ensemble(architecture, [0], digits, TrainingPlan(epochs=12))
    weights = {name: value[0] for name, value in weights.items()}
    network = architecture.build(torch.Generator())
    logits = functional_call(network, weights, digits.test_images)["logits"]
    accuracy = float((logits.argmax(-1) == digits.test_labels).double().mean())
    print(f"{architecture.name}: accuracy {accuracy:.2f}")
    return lambda images: functional_call(network, weights, images)[layer].flatten(1)


mlp, cnn = trained(Architecture("MLP", 64, 2), "dense2"), trained(Architecture("CNN", 8, 2), "conv2")
start = digits.test_images[balanced_subset(digits.test_labels, 2)]
found = optimal_stimuli(mlp, cnn, start, "angular_cka", steps=300, lr=0.02, bounds=(0.0, 1.0), radius=1.5)
print(found)

# %%
# Before and after
# ----------------
#
# On digits, the distances that the two networks see between images have a correlation of 0.56; on the optimal
# images one of -0.23: what is alike for one is different for the other. With 1.54 radians the Gram matrices
# are nearly at a right angle, the largest distance there is. Yet the images still look like digits, on a
# noisy ground.

with torch.no_grad():
    matrices = [[torch.cdist(net(x), net(x)) for net in (mlp, cnn)] for x in (start, found.inputs)]

upper = torch.triu_indices(20, 20, 1)
for name, pair in zip(("digits", "optimal images"), matrices, strict=True):
    both = torch.stack([matrix[upper[0], upper[1]] for matrix in pair])
    print(f"{name}: correlation of the two matrices {float(both.corrcoef()[0, 1]):.2f}")

with style():
    figure = plt.figure(figsize=(10.0, 4.6), layout="constrained")
    halves = figure.subfigures(1, 2, wspace=0.06)
    titles = f"Digits: {found.before:.2f} radians apart", f"Optimal images: {found.after:.2f} radians apart"
    for half, title, images, pair in zip(halves, titles, (start, found.inputs), matrices, strict=True):
        half.suptitle(title, fontsize=11, fontweight="bold")
        above, below = half.subfigures(2, 1, height_ratios=(3, 8))
        for ax, image in zip(above.subplots(2, 10).T.flat, images, strict=True):
            ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            ax.axis("off")
        for ax, matrix, name in zip(below.subplots(1, 2), pair, ("MLP", "CNN"), strict=True):
            ax.imshow(matrix / matrix.max(), cmap="viridis")
            ax.set(xticks=[], yticks=[])
            ax.set_xlabel(f"distances in the {name}", color=MUTED)
            ax.spines[:].set_visible(False)

plt.show()
