"""
Noisy recordings, few trials
============================

A brain area answers differently each time, and is recorded a few times only. Noise makes it look unlike
every model. How much of a distance is noise, and what is left without it?
"""

# %%
# A simulated recording
# ---------------------
#
# No brain was recorded here: the neurons are **simulated**, so that the truth is known. They are sixty
# complex cells, which answer to real images, 100 handwritten digits of scikit-learn, with the energy of a
# Gabor filter at a random place, in a random orientation and size. In each trial they fire two spikes in
# the mean, as Poisson processes whose gain goes up and down by a third from one answer to the next, for all
# neurons together.

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from digits_networks import networks_of
from torch.nn.functional import interpolate, pad

import repsim_geo as rg
from repsim_geo.viz.looks import INK, PALETTE, style, tidy

population = networks_of()
generator = torch.Generator().manual_seed(0)
SIDE, NEURONS = 48, 60
images = pad(population.images.double().reshape(-1, 1, 8, 8), (2, 2, 2, 2))
images = interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]


def complex_cell():
    """Two Gabor filters a quarter of a wave apart, shape (2, SIDE, SIDE); blind to a uniform gray."""
    angle, length, x, y = torch.rand(4, generator=generator, dtype=torch.float64)
    angle, length, x, y = math.pi * angle, 8 * 2**length, 14 + 20 * x, 14 + 20 * y
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = (columns - x) * angle.cos() + (rows - y) * angle.sin()
    across = (rows - y) * angle.cos() - (columns - x) * angle.sin()
    window = torch.exp(-(along**2 + across**2) / (2 * (0.4 * length) ** 2))
    phase = 2 * math.pi * along / length
    waves = torch.stack([window * phase.cos(), window * phase.sin()])
    return waves - window * (waves.sum((1, 2)) / window.sum())[:, None, None]


cells = torch.stack([complex_cell() for _ in range(NEURONS)])
energy = torch.einsum("mij,nqij->mnq", images, cells).norm(dim=-1)
rates = 2 * energy / energy.mean(0)


def record(n_trials, seed):
    """Spike counts, shape (n_trials, images, neurons)."""
    noise = torch.Generator().manual_seed(seed)
    gain = torch.exp(0.3 * torch.randn(n_trials, len(rates), 1, generator=noise, dtype=torch.float64))
    return torch.poisson(rates * gain, generator=noise)


trials = record(8, seed=1)
print(f"{trials.shape[0]} trials of {trials.shape[1]} images and {trials.shape[2]} neurons")
print(
    f"spikes: mean {trials.mean():.2f}; no spike in {100 * (trials == 0).double().mean():.0f} % of the counts"
)

# %%
# How good is it?
# ---------------
#
# ``trial_noise`` compares halves of the trials. The mean of four trials and that of the other four are 0.88
# radians apart, and two recordings of this area with eight trials each would be 0.62 apart, with nothing
# but noise between them. (We take the debiased angle of CKA throughout. It leaves out what a noisy answer
# has in common with itself.)

metric = rg.AngularCKA(debiased=True)
noise = rg.trial_noise(trials, metric)
print(f"halves {noise.halves:.2f}, two recordings {noise.floor:.2f} radians apart")

# %%
# Without the noise
# -----------------
#
# The cosine between the mean of half of the trials and a model is too small by a factor, whatever the
# model. The square of this factor can be measured: it is the cosine between two halves, which would be one
# without noise. To divide by the factor is Spearman's correction for attenuation.


def corrected(trials, model, n_splits=20):
    """Angle between a model and an area without noise, from halves of the trials."""
    splits = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(len(trials), generator=splits) for _ in range(n_splits)])
    halves = trials[orders].unflatten(1, (2, -1)).mean(2)
    with_model = rg.cka(halves.flatten(0, 1), model, debiased=True).mean()
    with_each_other = rg.cka(halves[:, 0], halves[:, 1], debiased=True).mean()
    return float((with_model / with_each_other.sqrt()).clamp(max=1).acos())


networks = {network.name: network for network in population.networks}
models = {"pixels": population.images.double()}
for name in ("CNN 16x3 #1", "MLP 256x3 #1"):
    models |= {f"{name[:3]} {layer}": x.double() for layer, x in networks[name].layers.items()}

mean = trials.mean(0)
truth = {name: float(rg.compare(rates, x, metric)) for name, x in models.items()}
found = {name: rg.bootstrap_distance(mean, x, metric, n_resamples=299) for name, x in models.items()}
without = {name: corrected(trials, x) for name, x in models.items()}
print("              truth  8 trials  95 % interval  corrected")
for name in models:
    interval = f"{found[name].low:.2f} to {found[name].high:.2f}"
    print(
        f"{name:12s}  {truth[name]:5.2f}  {found[name].estimate:8.2f}  {interval:>13s}  {without[name]:9.2f}"
    )
for kind, values in (("8 trials", {name: f.estimate for name, f in found.items()}), ("corrected", without)):
    print(f"largest error, {kind}: {max(abs(values[name] - truth[name]) for name in models):.3f} radians")

# %%
# Which layer is nearest?
# -----------------------
#
# Without noise it is the third convolutional layer, at 0.87 radians. From eight trials all distances come
# out too large, by up to 0.08 radians; corrected ones are right to 0.03. The intervals say something else:
# what would change with other images. Those of single distances overlap. But all models have seen the same
# images, so that a difference is known better than its parts: the pixels are farther than conv3 by 0.15
# radians, and the interval leaves out zero. That the last hidden layer of the fully connected network is
# farther, by 0.06, a hundred images do not establish.


def how_much_farther(name):
    reps = [mean, models["CNN conv3"], models[name]]
    return rg.bootstrap_statistic(
        reps, metric, lambda d, _: d[:, 0, 2] - d[:, 0, 1], over="stimuli", n_resamples=299
    )


for name in ("pixels", "MLP dense3"):
    more = how_much_farther(name)
    print(f"{name} less conv3: {more.estimate:.2f} radians, {more.low:.2f} to {more.high:.2f}")

# %%
# How few trials?
# ---------------
#
# Twelve recordings for each number of trials. Without correction, two trials put every model far away and
# make all look equally bad: 0.10 radians between conv3 and the pixels, instead of 0.17. With it they are
# right on the average, 0.85 and 1.03, but scatter by 0.06; four trials are enough for 0.03.

COUNTS = (2, 4, 8, 16, 32)
curves = {}
for name in ("pixels", "CNN conv3"):
    raw = np.array(
        [[float(rg.compare(record(n, s).mean(0), models[name], metric)) for s in range(12)] for n in COUNTS]
    )
    fixed = np.array([[corrected(record(n, s), models[name], 5) for s in range(12)] for n in COUNTS])
    curves[name] = raw, fixed
    print(f"{name:9s}: truth {truth[name]:.2f}")
    for kind, values in (("mean of trials", raw), ("corrected", fixed)):
        print(f"   {kind:14s}", values.mean(1).round(2), "±", values.std(1).round(2))

with style():
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.0, 4.6), width_ratios=(1.15, 1), layout="constrained"
    )
    for row, name in enumerate(models):
        interval = found[name]
        left.plot(
            [interval.low, interval.high],
            [row, row],
            color=PALETTE[4],
            lw=5,
            alpha=0.45,
            solid_capstyle="butt",
        )
        left.plot(interval.estimate, row, "s", color=PALETTE[5], ms=7, mec="white")
        left.plot(without[name], row, "o", color=PALETTE[6], ms=8, mec="white")
        left.plot([truth[name]] * 2, [row - 0.33, row + 0.33], color=INK, lw=2)
    left.plot([], [], "s", color=PALETTE[5], ms=7, mec="white", label="8 trials, and interval over images")
    left.plot([], [], "o", color=PALETTE[6], ms=8, mec="white", label="corrected for noise")
    left.plot([], [], "|", color=INK, ms=10, mew=2, label="truth")
    left.set_yticks(range(len(models)), list(models))
    left.invert_yaxis()
    left.set(xlabel="debiased angle to the area (radians)")
    left.set_title("Layers of two networks, and a simulated area")
    left.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.14), ncols=3, columnspacing=1.2)

    for name, marker in (("pixels", "--"), ("CNN conv3", "-")):
        for values, color in zip(curves[name], (PALETTE[5], PALETTE[6]), strict=True):
            middle, spread = values.mean(1), values.std(1)
            right.fill_between(COUNTS, middle - spread, middle + spread, color=color, alpha=0.18, lw=0)
            right.plot(COUNTS, middle, marker, color=color, lw=2.2)
        right.plot(COUNTS, [truth[name]] * len(COUNTS), color=INK, lw=1, ls=":")
        right.text(33, truth[name], name, va="center", color=INK)
    right.text(2.9, 1.2, "mean of trials", color=PALETTE[5], weight="bold")
    right.text(2.9, 0.93, "corrected", color=PALETTE[6], weight="bold")
    right.set_xscale("log", base=2)
    right.set_xticks(COUNTS, [str(n) for n in COUNTS])
    right.minorticks_off()
    right.set(xlabel="trials", ylabel="debiased angle to the area (radians)", xlim=(2, 60))
    right.set_title("Twelve recordings each")
    for ax in (left, right):
        tidy(ax)

plt.show()
