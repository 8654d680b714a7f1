"""Train all seeds of one architecture at once on scikit-learn's bundled digit images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from repsim_geo.demo.architectures import IMAGE_SIZE, N_CLASSES, Architecture

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingPlan:
    """
    Everything that decides how a network is trained, apart from its architecture and its seed.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images in a minibatch.
    peak_learning_rate : float
        Largest step of AdamW; it is reached after a linear warm-up and then falls to zero along a cosine.
    warmup : float
        Share of the steps that are spent warming up.
    weight_decay : float
        Decoupled weight decay of AdamW.
    largest_shift : int
        Training images are moved by up to this many pixels in both directions, at random.
    """

    epochs: int = 100
    batch_size: int = 64
    peak_learning_rate: float = 1e-2
    warmup: float = 0.15
    weight_decay: float = 0.05
    largest_shift: int = 1


@dataclass(frozen=True)
class Digits:
    """
    The images, split once and for all: the split does not depend on any seed.

    Attributes
    ----------
    train_images, test_images : Tensor, shape (n, 1, 8, 8)
        Gray levels between 0 and 1.
    train_labels, test_labels : Tensor, shape (n,)
        Digits from 0 to 9.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_digits_split(n_test: int = 600) -> Digits:
    """
    Bundled digits (1797 images of 8 x 8 pixels), split into training and held-out images by class.

    Parameters
    ----------
    n_test : int
        Number of held-out images.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16.0).astype(np.float32).reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE)
    parts = train_test_split(images, labels, test_size=n_test, stratify=labels, random_state=0)
    train_images, test_images, train_labels, test_labels = (torch.as_tensor(part) for part in parts)
    return Digits(train_images, train_labels.long(), test_images, test_labels.long())


def balanced_subset(labels: Tensor, per_class: int) -> Tensor:
    """
    Indices of the first ``per_class`` images of every class, ordered by class.

    Parameters
    ----------
    labels : Tensor, shape (n,)
        Digits from 0 to 9.
    per_class : int
        Images taken from each class.

    Returns
    -------
    Tensor, shape (10 * per_class,)
    """
    members = [torch.nonzero(labels == digit).flatten() for digit in range(N_CLASSES)]
    smallest = min(len(indices) for indices in members)
    if smallest < per_class:
        raise ValueError(
            f"per_class must be at most {smallest}, the size of the smallest class: got {per_class}."
        )
    return torch.cat([indices[:per_class] for indices in members])


@contextmanager
def thread_count(n: int) -> Iterator[None]:
    """
    Let torch use ``n`` threads inside the block.

    The order of floating-point sums depends on the number of threads, so a fixed number makes training
    repeatable on one machine. With networks this small a second thread saves a fifth of the time on an idle
    machine, but waits for itself most of the time on a busy one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_ensemble(
    architecture: Architecture,
    seeds: list[int],
    digits: Digits,
    plan: TrainingPlan,
    on_epoch: Callable[[], None] = lambda: None,
) -> Parameters:
    """
    Trained weights of one architecture from several seeds, all trained in one pass.

    The seeds share nothing but the shapes: each has its own initial weights, its own order of minibatches
    and its own random shifts. They are stacked along a leading axis, and `torch.func.vmap` runs them
    together.

    Parameters
    ----------
    architecture : Architecture
        What to train.
    seeds : list of int
        One network is trained for each.
    digits : Digits
        Images and labels.
    plan : TrainingPlan
        Epochs, learning rate and so on.
    on_epoch : callable, optional
        Called after every epoch, for a progress bar.

    Returns
    -------
    dict of str to Tensor, shape (n_seeds, *parameter)
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    networks = [architecture.build(generator) for generator in generators]
    parameters, _ = stack_module_state(networks)
    loss = _ensemble_loss(architecture)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=plan.peak_learning_rate, weight_decay=plan.weight_decay
    )
    per_epoch = len(digits.train_labels) // plan.batch_size
    schedule = _one_cycle(optimizer, plan, per_epoch * plan.epochs)
    for _ in range(plan.epochs):
        for images, labels in _minibatches(digits, plan, generators):
            optimizer.zero_grad(set_to_none=True)
            # Networks do not interact: the gradient of the sum is every network's own gradient.
            loss(parameters, images, labels).sum().backward()
            optimizer.step()
            schedule.step()
        on_epoch()
    return {name: parameter.detach() for name, parameter in parameters.items()}


def _skeleton(architecture: Architecture) -> torch.nn.Module:
    return architecture.build(torch.Generator().manual_seed(0)).to("meta")


def _ensemble_loss(architecture: Architecture) -> Callable[[Parameters, Tensor, Tensor], Tensor]:
    skeleton = _skeleton(architecture)

    def loss(parameters: Parameters, images: Tensor, labels: Tensor) -> Tensor:
        logits = functional_call(skeleton, parameters, (images,))["logits"]
        return torch.nn.functional.cross_entropy(logits, labels)

    return vmap(loss)


def _one_cycle(
    optimizer: torch.optim.Optimizer, plan: TrainingPlan, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=plan.peak_learning_rate,
        total_steps=steps,
        pct_start=plan.warmup,
        cycle_momentum=False,
    )


def _minibatches(
    digits: Digits, plan: TrainingPlan, generators: list[torch.Generator]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch, each seed in its order: images (n_seeds, b, 1, 8, 8), labels (n_seeds, b)."""
    shifted = torch.stack([_shift_randomly(digits.train_images, plan.largest_shift, g) for g in generators])
    orders = torch.stack([torch.randperm(len(digits.train_labels), generator=g) for g in generators])
    rows = torch.arange(len(generators)).unsqueeze(1)
    for start in range(0, orders.shape[1] - plan.batch_size + 1, plan.batch_size):
        batch = orders[:, start : start + plan.batch_size]
        yield shifted[rows, batch], digits.train_labels[batch]


def _shift_randomly(images: Tensor, largest: int, generator: torch.Generator) -> Tensor:
    """Every image moved by its own random number of pixels; what enters from outside is background (0)."""
    n, _, height, width = images.shape
    offsets = torch.randint(0, 2 * largest + 1, (2, n, 1), generator=generator)
    rows = offsets[0] + torch.arange(height)
    columns = offsets[1] + torch.arange(width)
    padded = torch.nn.functional.pad(images[:, 0], [largest] * 4)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def ensemble_layers(architecture: Architecture, parameters: Parameters, images: Tensor) -> dict[str, Tensor]:
    """
    Activations of every layer of every network of an ensemble.

    Parameters
    ----------
    architecture : Architecture
        Shape of the networks.
    parameters : dict of str to Tensor, shape (n_seeds, *parameter)
        Stacked weights, as `train_ensemble` returns them.
    images : Tensor, shape (m, 1, 8, 8)
        Shown to all networks.

    Returns
    -------
    dict of str to Tensor, shape (n_seeds, m, d)
        Post-nonlinearity activations by layer, flattened to one row per image; ``logits`` comes last.
    """
    skeleton = _skeleton(architecture)
    with torch.no_grad():
        layers = vmap(lambda p: functional_call(skeleton, p, (images,)))(parameters)
    return {name: layer.flatten(2) for name, layer in layers.items()}
