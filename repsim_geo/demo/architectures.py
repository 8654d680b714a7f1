"""The network shapes of the demo: small convolutional and fully connected digit classifiers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

N_CLASSES = 10
IMAGE_SIZE = 8
N_PIXELS = IMAGE_SIZE * IMAGE_SIZE


@dataclass(frozen=True)
class Architecture:
    """
    Family, width and depth of a network; enough to build it.

    Parameters
    ----------
    family : {"CNN", "MLP"}
        Convolutional or fully connected.
    width : int
        Units of every hidden layer (MLP), or channels of the first one (CNN; later layers have twice as
        many).
    depth : int
        Number of hidden layers. The read-out layer is not counted.
    """

    family: str
    width: int
    depth: int

    @property
    def name(self) -> str:
        """Short name such as ``CNN 16x3``: family, width, depth."""
        return f"{self.family} {self.width}x{self.depth}"

    @property
    def slug(self) -> str:
        """The name in a form that suits file names, such as ``cnn-w16-d3``."""
        return f"{self.family.lower()}-w{self.width}-d{self.depth}"

    def build(self, generator: torch.Generator) -> nn.Module:
        """
        Freshly initialized network that maps images to a dictionary of layers.

        Parameters
        ----------
        generator : torch.Generator
            Source of the initial weights; the global random state is neither read nor changed.

        Returns
        -------
        nn.Module
            Its output is a dictionary of post-nonlinearity activations by layer name, input side first; the
            last entry is ``logits``.
        """
        with torch.device("meta"):
            network = _FAMILIES[self.family](self.width, self.depth)
        network = network.to_empty(device="cpu")
        _initialize(network, generator)
        return network


def _initialize(network: nn.Module, generator: torch.Generator) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)


class _Classifier(nn.Module):
    """Hidden layers, each followed by a rectifier, then a linear read-out of the ten classes."""

    hidden: nn.ModuleDict
    readout: nn.Linear

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Activations of every layer, shape (batch, ...), for images of shape (batch, 1, 8, 8)."""
        layers = {}
        x = self._shape_input(images)
        for name, layer in self.hidden.items():
            x = torch.relu(layer(x))
            layers[name] = x
        layers["logits"] = self.readout(x.flatten(1))
        return layers

    def _shape_input(self, images: Tensor) -> Tensor:
        return images


class _ConvolutionalNetwork(_Classifier):
    def __init__(self, width: int, depth: int):
        super().__init__()
        channels = [1, width] + [2 * width] * (depth - 1)
        # The second layer halves the resolution (8 x 8 -> 4 x 4); the others keep it.
        self.hidden = nn.ModuleDict(
            {
                f"conv{i + 1}": nn.Conv2d(
                    channels[i], channels[i + 1], 3, stride=2 if i == 1 else 1, padding=1
                )
                for i in range(depth)
            }
        )
        side = IMAGE_SIZE if depth == 1 else IMAGE_SIZE // 2
        self.readout = nn.Linear(channels[-1] * side * side, N_CLASSES)


class _FullyConnectedNetwork(_Classifier):
    def __init__(self, width: int, depth: int):
        super().__init__()
        sizes = [N_PIXELS] + [width] * depth
        self.hidden = nn.ModuleDict(
            {f"dense{i + 1}": nn.Linear(sizes[i], sizes[i + 1]) for i in range(depth)}
        )
        self.readout = nn.Linear(width, N_CLASSES)

    def _shape_input(self, images: Tensor) -> Tensor:
        return images.flatten(1)


_FAMILIES = {"CNN": _ConvolutionalNetwork, "MLP": _FullyConnectedNetwork}

POPULATION = (
    Architecture("MLP", 128, 1),
    Architecture("MLP", 256, 1),
    Architecture("MLP", 128, 3),
    Architecture("MLP", 256, 3),
    Architecture("CNN", 8, 2),
    Architecture("CNN", 16, 2),
    Architecture("CNN", 8, 3),
    Architecture("CNN", 16, 3),
)
"""The eight architectures of the demo: both families, two widths times two depths."""

QUICK_POPULATION = (Architecture("MLP", 64, 1), Architecture("MLP", 64, 2), Architecture("CNN", 8, 2))
"""Three architectures that train in seconds, for tests."""
