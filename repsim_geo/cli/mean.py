"""The command ``repsim-geo mean``: the Fréchet mean of networks."""

from typing import Any

from repsim_geo.cli.common import (
    Options,
    UsageError,
    aligned,
    as_json,
    check_target,
    metric_of,
    note,
    say,
    told,
)
from repsim_geo.cli.networks import load, networks_of, refuse_input


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
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """Mean of networks: the representation with the least sum of squared distances to them."""
        with told(show_traceback):
            check_target(output, (".npz", ".safetensors"), "a mean")
            chosen = metric_of(metric, option)
            arrays, _ = networks_of(files)
            refuse_input(output, arrays)
            reps = [load(array) for array in arrays.values()]
            fitted, distances, resolved = _fitted(reps, chosen)
            facts = _facts(fitted, dict(zip(arrays, distances.tolist(), strict=True)), chosen.card)
            say(as_json(facts) if json else _text(facts))
            if output is not None:
                _write(fitted.mean_, resolved, reps[0].ids, output)


def _fitted(reps: list[Any], metric: Any) -> tuple[Any, Any, Any]:
    """Fitted mean, distances of the networks to it, and the metric with the sizes of the data."""
    import torch

    from repsim_geo import FrechetMean, _checks

    tensors = [_checks.as_activations(x, x.name) for x in reps]
    for x, rep in zip(tensors, reps, strict=True):
        _checks.check_pair(tensors[0], x, "mean", (reps[0].name, rep.name))
        metric.check_input(x, rep.name)
    metric = metric.resolve(tensors)
    points = torch.stack([metric.embed(x) for x in tensors])
    fitted = FrechetMean(metric).fit(points)
    return fitted, metric.dist(fitted.mean_, points), metric


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


def _write(point: Any, metric: Any, ids: Any, file: str) -> None:
    from repsim_geo.io import save_activations

    if not bool(metric.in_image(point)):
        raise UsageError(
            f"the mean under {metric.card.key} is a point that no activations have, so that {file} was not "
            "written. Take another metric, such as angular_shape, whose means are representations."
        )
    save_activations({"mean": metric.realize(point)}, file, ids=ids)
    note(f"wrote {file}")
