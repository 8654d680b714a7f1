"""
Networks that have learned scikit-learn's digits, for all examples: trained once, then read from a folder.

The folder is ``REPSIM_GEO_CACHE`` if that is set, else ``repsim_geo`` among the caches of the user. To delete
it costs a minute: the next example trains again. A file is used only if everything that decides the weights
is the same; `repsim_geo.demo.cache` sees to that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from repsim_geo.demo import cache
from repsim_geo.demo.architectures import POPULATION, Architecture
from repsim_geo.demo.networks import Network, Population, load_population
from repsim_geo.demo.training import (
    TrainingPlan,
    balanced_subset,
    ensemble_layers,
    load_digits_split,
    thread_count,
    train_ensemble,
)


def cache_folder() -> Path:
    """Where trained networks are kept."""
    chosen = os.environ.get("REPSIM_GEO_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(caches) / "repsim_geo"


def twelve_networks() -> Population:
    """Four networks of each of three small architectures, on 100 held-out images; six seconds of training."""
    return load_population(cache_folder(), quick=True, progress=False)


def networks_of(
    architectures: Sequence[Architecture] = POPULATION,
    *,
    n_seeds: int = 4,
    epochs: int = 30,
    per_class: int = 10,
) -> Population:
    """
    Networks of some architectures, by default of the eight of the demo; these take 40 seconds of training.

    Ordered by architecture, then by seed. ``per_class`` held-out images of every digit are shown to them.
    """
    digits, plan, seeds = load_digits_split(), TrainingPlan(epochs=epochs), list(range(n_seeds))
    probe = balanced_subset(digits.test_labels, per_class)
    networks, n_loaded = [], 0
    for architecture in architectures:
        configuration = {
            "architecture": asdict(architecture),
            "seeds": seeds,
            "plan": asdict(plan),
            "torch": torch.__version__,
        }
        path = cache_folder() / f"{architecture.slug}-{cache.key(configuration)}.npz"
        with thread_count(1):
            weights = cache.load(path, configuration)
            n_loaded += n_seeds * (weights is not None)
            if weights is None:
                weights = train_ensemble(architecture, seeds, digits, plan)
                cache.save(path, weights, configuration)
            layers = ensemble_layers(architecture, weights, digits.test_images)
        right = (layers["logits"].argmax(-1) == digits.test_labels).double().mean(-1)
        for i, seed in enumerate(seeds):
            networks.append(
                Network(
                    name=f"{architecture.name} #{i + 1}",
                    architecture=architecture.name,
                    family=architecture.family,
                    width=architecture.width,
                    depth=architecture.depth,
                    seed=seed,
                    accuracy=float(right[i]),
                    layers={name: layer[i, probe].clone() for name, layer in layers.items()},
                )
            )
    return Population(
        networks=networks,
        images=digits.test_images[probe].flatten(1),
        labels=digits.test_labels[probe],
        n_train=len(digits.train_labels),
        n_test=len(digits.test_labels),
        plan=plan,
        seconds=0.0,
        n_loaded=n_loaded,
    )
