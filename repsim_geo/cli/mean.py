"""The command ``repsim-geo mean``: the Fréchet mean of networks."""

from typing import Any

from repsim_geo.cli.common import (
    Options,
    UsageError,
    aligned,
    as_json,
    check_picture,
    check_target,
    metric_of,
    note,
    save_picture,
    say,
    told,
)
from repsim_geo.cli.networks import embedded, load, networks_of, refuse_input


def add_mean(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def mean(
        files: list[str] = shared.files,
        metric: str = shared.metric,
        option: list[str] = shared.option,
        output: str | None = typer.Option(
            None, "--output", metavar="FILE", help="Write activations of the mean: .npz or .safetensors."
        ),
        picture: str | None = shared.picture,
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """Mean of networks: the representation with the least sum of squared distances to them."""
        with told(show_traceback):
            check_target(output, (".npz", ".safetensors"), "a mean")
            check_picture(picture)
            chosen = metric_of(metric, option)
            arrays, groups = networks_of(files)
            refuse_input(output, arrays)
            reps = [load(array) for array in arrays.values()]
            fitted, points, resolved = _fitted(reps, chosen)
            distances = resolved.dist(fitted.mean_, points)
            facts = _facts(fitted, dict(zip(arrays, distances.tolist(), strict=True)), chosen.card)
            say(as_json(facts) if json else _text(facts))
            if output is not None:
                _write(fitted.mean_, resolved, reps[0].ids, output)
            if picture is not None:
                _draw(distances, resolved.cdist(points, points), groups, resolved.card.unit, picture)


def _fitted(reps: list[Any], metric: Any) -> tuple[Any, Any, Any]:
    """Fitted mean, points of the networks, and the metric with the sizes of the data."""
    import torch

    from repsim_geo import FrechetMean

    points, metric = embedded([(x.name, x) for x in reps], metric, "mean")
    stacked = torch.stack(points)
    return FrechetMean(metric).fit(stacked), stacked, metric


def _facts(fitted: Any, distances: dict[str, float], card: Any) -> dict[str, Any]:
    return {
        "metric": card.key,
        "unit": card.unit,
        "standard_deviation": float(fitted.variance_) ** 0.5,
        "farthest": float(fitted.radius_),
        "converged": bool(fitted.converged_),
        "iterations": int(fitted.n_iter_),
        "unique": fitted.unique_,
        "distances": distances,
    }


def _text(facts: dict[str, Any]) -> str:
    unit = f" {facts['unit']}".rstrip()
    spread, farthest = (f"{facts[key]:.4g}{unit}" for key in ("standard_deviation", "farthest"))
    settled = "converged" if facts["converged"] else "NOT converged"
    unique = "the only one" if facts["unique"] else "whether it is the only one, no theorem says"
    return "\n".join(
        [
            f"mean of {len(facts['distances'])} networks under {facts['metric']}",
            f"standard deviation {spread}, farthest {farthest}",
            f"{settled} after {facts['iterations']} steps; {unique}",
            "",
            aligned([("network", "distance to the mean"), *facts["distances"].items()]),
        ]
    )


def _draw(distances: Any, table: Any, groups: list[str], unit: str, file: str) -> None:
    import numpy as np

    from repsim_geo import viz

    to_mean, between = {}, {}
    for group in dict.fromkeys(groups):
        chosen = np.array([name == group for name in groups])
        name = group if len(set(groups)) > 1 else "networks"
        to_mean[name] = distances[chosen]
        inside = table[chosen][:, chosen]
        between[name] = inside[np.triu_indices(len(inside), 1)]
    ax = viz.mean_and_members(to_mean, between, unit=unit)
    ax.set_xlabel(ax.get_xlabel().replace("distance", "distance to the mean", 1))
    save_picture(ax, file)


def _write(point: Any, metric: Any, ids: Any, file: str) -> None:
    from repsim_geo.io import save_activations

    if not bool(metric.in_image(point)):
        raise UsageError(
            f"the mean under {metric.card.key} is a point that no activations have, so that {file} was not "
            "written. Take another metric, such as angular_shape, whose means are representations."
        )
    save_activations({"mean": metric.realize(point)}, file, ids=ids)
    note(f"wrote {file}")
