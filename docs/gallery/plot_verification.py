"""
Which measures are metrics?
===========================

Many measures of representational similarity are called distances. Some of them are: they keep the triangle
inequality, so that means, medians, clusterings and nearest neighbors make sense. For others, two networks can
both be near a third and yet far from each other. One call tells which is which.
"""

# %%
# Three measures
# --------------
#
# ``literature.py``, beside this example, writes measures of the literature down as functions of two arrays of
# activations. We take three of them: one minus centered kernel alignment, its arc cosine, and one minus the
# mean canonical correlation. Beside the function, the verifier is told what the measure claims not to notice,
# and holds the measure to it.

import sys
from pathlib import Path

if "__file__" in globals():  # run as a script; the gallery itself runs in the folder of this example
    sys.path.insert(0, str(Path(__file__).parent))

import matplotlib.pyplot as plt
import numpy as np
from literature import MEASURES
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch

from repsim_geo import verify
from repsim_geo.viz.looks import INK, MUTED, style


def report_of(measure):
    return verify.check_distance(
        measure.function,
        m=measure.m,
        d=measure.d,
        invariances=measure.invariances,
        range=measure.range,
        backend="numpy",
        on_fail="report",
    )


reports = {measure.title: report_of(measure) for measure in MEASURES}
print(reports["1 − linear CKA"])

# %%
# The triangle inequality fails, and the report names the smallest networks that show it: one that has the
# units of two others is near both of them. The lines of code rebuild these networks. Of the arc cosine, which
# is the angle between the same two Gram matrices, all axioms hold. What is lost are digits: it does not
# resolve networks that are very near each other, because the arc cosine is infinitely steep there.

print(reports["arc cosine of linear CKA"])

# %%
# Canonical correlations break another axiom. What no affine map can tell apart is at distance zero, and with
# as many units as inputs that is everything.

print(reports["1 − mean CCA"])

# %%
# All at once
# -----------
#
# A report is a list of records, so a picture of many is a few lines. Rows are laws, the most basic first. The
# two laws of an invariance, that it holds if it is claimed and fails if it is not, share a row. A number says
# by how many orders of magnitude a measure is beyond what is tolerated.

HELD, NOT_ASKED = "#d3e3f0", "#f3f4f6"
# Light orange to dark wine: lightness falls all the way, so it survives color blindness and gray printers.
FAILS = LinearSegmentedColormap.from_list("fails", ["#fdcb7e", "#ee8344", "#c0392b", "#5c1030"])
MOST = 8
CHAPTERS = {0: "axioms", 1: "claims", 2: "digits", 4: "programs"}
SHORT = {
    "ordinary networks have a distance": "defined for ordinary networks",
    "distances of networks are finite": "finite, or refused",
    "distances of networks are not negative": "not negative",
    "networks are at distance zero from themselves": "zero from itself",
    "unrelated networks are apart": "unrelated networks are apart",
    "distances of networks are symmetric": "symmetric",
    "networks keep the triangle inequality": "triangle inequality",
    "distances of networks are within the range": "within the claimed range",
    "no digits are lost at distance zero": "zero to the last digit",
    "near networks are resolved": "near networks are resolved",
    "single precision agrees with double": "single precision agrees",
    "distances of networks are reproducible": "reproducible",
    "networks are not modified": "arguments are not modified",
    "order of inputs changes nothing": "order of inputs is arbitrary",
}


def row_of(law):
    """What a law is called in the picture."""
    plain = law.name.replace("_", " ")
    for ending in (" changes nothing", " is noticed"):
        if law.order == 1 and plain.endswith(ending):
            return plain.removesuffix(ending)
    return SHORT.get(plain, plain)


rows = {}
for law in sorted(verify.NETWORK_LAWS, key=lambda law: law.order):
    if not {"gradients", "batched"} & set(law.needs):  # nothing that numpy has
        rows.setdefault((law.order, row_of(law)), []).append(law.name)


def judged(report, names):
    """Color, text and ink of a cell: what the report says of the laws of a row."""
    found = [line for line in report.laws() if line["law"] in names and line["status"] != "skipped"]
    if not found:
        return NOT_ASKED, "·", MUTED
    if found[0]["status"] == "passed":  # the worst comes first
        return HELD, "✓", "#4a7396"
    orders = np.log10(found[0]["worst"])
    share = min(orders / MOST, 1.0)
    # A law that is kept or not, such as a finite number, has no tolerance to be beyond.
    text = "∞" if np.isinf(orders) else "no" if orders > 100 else "<1" if orders < 1 else f"{orders:.0f}"
    return FAILS(share), text, "white" if share > 0.3 else INK


def tile(ax, x, y, width, height, color):
    """A rectangle with round corners."""
    shape = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=color, edgecolor="none"))


# Gaps between chapters of laws, and before the measures that are metrics.
chapters = [order for order, _ in rows]
heights = [i + 0.55 * sorted(set(chapters)).index(order) for i, order in enumerate(chapters)]
columns = [j + 0.35 * measure.metric for j, measure in enumerate(MEASURES)]
right, bottom = columns[-1] + 1, heights[-1] + 1

with style():
    figure, ax = plt.subplots(figsize=(9.6, 9.4), layout="constrained")

    for measure, x in zip(MEASURES, columns, strict=True):
        for names, y in zip(rows.values(), heights, strict=True):
            color, text, ink = judged(reports[measure.title], names)
            tile(ax, x + 0.06, y + 0.06, 0.88, 0.88, color)
            ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9.5, color=ink)

    for order, label in CHAPTERS.items():
        ys = [y for y, chapter in zip(heights, chapters, strict=True) if chapter == order]
        ax.plot([right + 0.14] * 2, [ys[0] + 0.1, ys[-1] + 0.9], color=MUTED, lw=1, solid_capstyle="butt")
        middle = (ys[0] + ys[-1] + 1) / 2
        ax.text(right + 0.3, middle, label, rotation=-90, ha="left", va="center", color=MUTED)

    # What colors mean: held, not asked, and failures from light to dark.
    key = {0.0: (HELD, "holds"), 1.3: (NOT_ASKED, "not asked")}
    key |= {2.95 + 0.35 * k: (FAILS(k / MOST), f"{k}") for k in (1, 3, 5, 7)}
    for x, (color, text) in key.items():
        tile(ax, x + 0.06, bottom + 0.6, 0.35, 0.4, color)
        ax.text(x + 0.48, bottom + 0.8, text, va="center", fontsize=9, color=MUTED)
    ax.text(6.2, bottom + 0.8, "orders of magnitude beyond tolerance", va="center", fontsize=9, color=MUTED)

    ax.set_xlim(0, right + 0.7)
    ax.set_ylim(bottom + 1.2, 0)
    ax.set_yticks([y + 0.5 for y in heights], [name for _, name in rows])
    ax.set_xticks(
        [x + 0.5 for x in columns],
        [measure.title for measure in MEASURES],
        rotation=40,
        ha="left",
        rotation_mode="anchor",
    )
    ax.xaxis.tick_top()
    ax.tick_params(length=0, pad=4)
    ax.spines[:].set_visible(False)

plt.show()
