"""A population of trained networks and their activations on the same held-out images."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repsim_geo.demo import cache
from repsim_geo.demo.architectures import N_CLASSES, POPULATION, QUICK_POPULATION, Architecture
from repsim_geo.demo.training import (
    Digits,
    Parameters,
    TrainingPlan,
    balanced_subset,
    ensemble_layers,
    load_digits_split,
    thread_count,
    train_ensemble,
)

_FORMAT = 1
_THREADS = 1
_QUICK_PLAN = TrainingPlan(epochs=12)


@dataclass(frozen=True)
class Network:
    """
    One trained network, as the demo sees it.

    Attributes
    ----------
    name : str
        Architecture and replica, such as ``CNN 16x3 #2``.
    architecture : str
        Such as ``CNN 16x3``: family, width, depth.
    family : str
        ``CNN`` or ``MLP``.
    width, depth : int
        Units (or channels) of a layer; number of hidden layers.
    seed : int
        Seed of initial weights, minibatch order and shifts.
    accuracy : float
        Share of all held-out images that are classified correctly, between 0 and 1.
    layers : dict of str to Tensor, shape (m, d)
        Activations by layer on the probe images, input side first: hidden layers after their nonlinearity,
        then ``logits``.
    """

    name: str
    architecture: str
    family: str
    width: int
    depth: int
    seed: int
    accuracy: float
    layers: dict[str, Tensor] = field(repr=False)

    @property
    def last_hidden(self) -> Tensor:
        """Activations of the last hidden layer, shape (m, d)."""
        return self.layers[self.last_hidden_name]

    @property
    def last_hidden_name(self) -> str:
        """Name of the last hidden layer, such as ``conv3``."""
        return list(self.layers)[-2]


@dataclass(frozen=True)
class Population:
    """
    Networks, with the images that were shown to all of them.

    Attributes
    ----------
    networks : list of Network
        Ordered by architecture, then by seed.
    images : Tensor, shape (m, 64)
        Pixels of the probe images, gray levels between 0 and 1; ordered by class.
    labels : Tensor, shape (m,)
        Digits from 0 to 9.
    n_train, n_test : int
        Images that were trained on; images that accuracy is measured on.
    plan : TrainingPlan
        How the networks were trained.
    seconds : float
        Wall time of training or loading.
    n_loaded : int
        Networks that came from the cache.
    """

    networks: list[Network]
    images: Tensor
    labels: Tensor
    n_train: int
    n_test: int
    plan: TrainingPlan
    seconds: float
    n_loaded: int

    @property
    def architectures(self) -> list[str]:
        """Names of the architectures, each once, in order."""
        return list(dict.fromkeys(network.architecture for network in self.networks))

    @property
    def targets(self) -> Tensor:
        """One-hot labels of the probe images, shape (m, 10): the representation of a perfect classifier."""
        return torch.nn.functional.one_hot(self.labels, N_CLASSES).to(self.images.dtype)

    def members(self, architecture: str) -> list[int]:
        """Positions of the networks of one architecture."""
        return [i for i, network in enumerate(self.networks) if network.architecture == architecture]


def load_population(
    folder: str | Path, *, seed: int = 0, n_seeds: int = 4, quick: bool = False, progress: bool | None = None
) -> Population:
    """
    The demo's networks: trained on the first call, read from ``folder`` later.

    Parameters
    ----------
    folder : str or Path
        Where trained weights are kept, one npz file an architecture.
    seed : int
        Another seed gives another population; the split of the images stays.
    n_seeds : int
        Networks of each architecture.
    quick : bool
        Few small networks after few epochs, for tests.
    progress : bool, optional
        Show a progress bar. By default, if the standard error stream is a terminal.

    Returns
    -------
    Population

    Notes
    -----
    A file is used only if its name and contents match the full training configuration, the seed
    and the version of torch, and if its checksum is right; otherwise the networks are trained again.
    Repeatable on one machine: the order of floating-point sums, and so the last digits of the weights, may
    differ between processors.
    """
    started = time.perf_counter()
    architectures, plan = (QUICK_POPULATION, _QUICK_PLAN) if quick else (POPULATION, TrainingPlan())
    seeds = [1000 * seed + i for i in range(n_seeds)]
    digits = load_digits_split()
    probe = balanced_subset(digits.test_labels, per_class=10 if quick else 20)
    networks, n_loaded = [], 0
    with thread_count(_THREADS), _bar(len(architectures) * plan.epochs, progress) as bar:
        for architecture in architectures:
            bar.set_description(f"training {architecture.name}")
            parameters, loaded = _load_or_train(Path(folder), architecture, seeds, digits, plan, bar)
            networks += _describe(architecture, seeds, parameters, digits, probe)
            n_loaded += n_seeds * loaded
    images = digits.test_images[probe].flatten(1)
    seconds = time.perf_counter() - started
    sizes = len(digits.train_labels), len(digits.test_labels)
    return Population(networks, images, digits.test_labels[probe], *sizes, plan, seconds, n_loaded)


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=total, unit="epoch", disable=not shown, leave=False)


def _load_or_train(
    folder: Path, architecture: Architecture, seeds: list[int], digits: Digits, plan: TrainingPlan, bar: Any
) -> tuple[Parameters, bool]:
    """Stacked weights, and whether they came from the cache."""
    configuration = {
        "format": _FORMAT,
        "architecture": asdict(architecture),
        "seeds": seeds,
        "plan": asdict(plan),
        "n_train": len(digits.train_labels),
        "threads": _THREADS,
        "torch": torch.__version__,
    }
    path = folder / f"{architecture.slug}-{cache.key(configuration)}.npz"
    parameters = cache.load(path, configuration)
    if parameters is not None:
        bar.update(plan.epochs)
        return parameters, True
    parameters = train_ensemble(architecture, seeds, digits, plan, on_epoch=bar.update)
    cache.save(path, parameters, configuration)
    return parameters, False


def _describe(
    architecture: Architecture, seeds: Sequence[int], parameters: Parameters, digits: Digits, probe: Tensor
) -> list[Network]:
    # Accuracies are measured from the weights on every run, also when the weights come from the cache.
    layers = ensemble_layers(architecture, parameters, digits.test_images)
    correct = layers["logits"].argmax(-1) == digits.test_labels
    accuracies = correct.double().mean(-1).tolist()
    return [
        Network(
            name=f"{architecture.name} #{i + 1}",
            architecture=architecture.name,
            family=architecture.family,
            width=architecture.width,
            depth=architecture.depth,
            seed=seed,
            accuracy=accuracies[i],
            layers={name: layer[i, probe].clone() for name, layer in layers.items()},
        )
        for i, seed in enumerate(seeds)
    ]
