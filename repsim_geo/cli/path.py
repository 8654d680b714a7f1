"""The command ``repsim-geo path``: networks as paths from layer to layer."""

from typing import Any

from repsim_geo.cli.common import (
    Options,
    UsageError,
    as_json,
    check_picture,
    metric_of,
    save_picture,
    say,
    told,
)
from repsim_geo.cli.networks import embedded, is_plain_folder, layers_of, load, networks_of, short_names

_NAMED = 24  # layers whose names a picture has room for


def add_path(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def path(
        files: list[str] = shared.files,
        metric: str = shared.metric,
        option: list[str] = shared.option,
        target: str | None = typer.Option(
            None,
            metavar="FILE",
            help="Where networks should get to, such as one-hot labels; else the last layer.",
        ),
        picture: str | None = shared.picture,
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """
        Networks as paths of layers: length, straightness, turns, and how far they are on their way.

        Every FILE with several arrays is a network, with its layers in the order of the file. Files with one
        array each are together the layers of one network.
        """
        with told(show_traceback):
            check_picture(picture)
            networks = _layers(files)
            points, resolved, end = _points(networks, metric_of(metric, option), target)
            described = {
                name: _described(resolved, points[name], end, list(networks[name])) for name in networks
            }
            if json:
                say(
                    as_json(
                        {
                            "metric": resolved.card.key,
                            "unit": resolved.card.unit,
                            "networks": _facts(described),
                        }
                    )
                )
            else:
                unit = f" ({resolved.card.unit})" if resolved.card.unit else ""
                say("\n\n".join([f"{resolved.card.key}{unit}", *(f"{n}: {d}" for n, d in described.items())]))
            if picture is not None:
                _draw(resolved, networks, points, end, picture)


def _layers(files: list[str]) -> dict[str, dict[str, str]]:
    """Layers of every network, by its name."""
    found = {name: layers_of(name) for name in files if not is_plain_folder(name)}
    if len(found) == len(files) and all(len(layers) > 1 for layers in found.values()):
        return dict(zip(short_names(files), found.values(), strict=True))
    if any(len(layers) > 1 for layers in found.values()):
        raise UsageError(
            "either every file must hold the layers of one network, or every file one layer, got both. "
            "Give one kind at a time."
        )
    arrays, _ = networks_of(files)
    return {"network": arrays}


def _points(
    networks: dict[str, dict[str, str]], metric: Any, target: str | None
) -> tuple[dict[str, Any], Any, Any]:
    """Points of the layers of every network, the metric with its sizes, and where all should end."""
    import torch

    named = [(f"{name}/{layer}", load(a)) for name, layers in networks.items() for layer, a in layers.items()]
    if target is not None:
        named.append((target, load(target)))
    points, metric = embedded(named, metric, "path")
    end = points.pop() if target is not None else None
    found = {}
    for name, layers in networks.items():
        found[name] = torch.stack(points[: len(layers)])
        points = points[len(layers) :]
    return found, metric, end


def _described(metric: Any, points: Any, end: Any, names: list[str]) -> Any:
    from repsim_geo import describe_path

    return describe_path(metric, points, end, names=names)


def _facts(described: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "layers": d.names,
            "length": d.length,
            "straightness": d.straightness,
            "steps": d.steps,
            "turning_angles": d.turning_angles,
            "t": d.progress.t,
            "deviation": d.progress.deviation,
            "to_target": d.progress.to_end,
        }
        for name, d in described.items()
    }


def _draw(
    metric: Any, networks: dict[str, dict[str, str]], points: dict[str, Any], end: Any, file: str
) -> None:
    import torch

    from repsim_geo import MetricMDS, viz

    stacked = torch.cat([*points.values(), *([] if end is None else [end[None]])])
    places = MetricMDS(2, seed=0).fit(metric.cdist(stacked, stacked)).embedding_
    counts = [len(layers) for layers in points.values()]
    paths = dict(zip(points, places[: sum(counts)].split(counts), strict=True))
    anchors = None if end is None else {"target": places[-1]}
    ax = viz.layer_paths(paths, anchors, unit=metric.card.unit)
    if sum(counts) <= _NAMED:
        for name, path in paths.items():
            for layer, place in zip(networks[name], path.tolist(), strict=True):
                ax.annotate(layer, place, xytext=(6, 4), textcoords="offset points", fontsize=7)
    save_picture(ax, file)
