"""The command ``repsim-geo embed``: a map of networks by multidimensional scaling."""

import csv
from enum import Enum
from pathlib import Path
from typing import Any

from repsim_geo._files import replacing
from repsim_geo.cli.common import (
    Options,
    UsageError,
    aligned,
    as_json,
    check_picture,
    check_target,
    interactive,
    metric_of,
    note,
    save_picture,
    say,
    told,
)
from repsim_geo.cli.networks import networks_of
from repsim_geo.cli.pairwise import table_of


class Scaling(str, Enum):
    """Ways to place networks."""

    metric = "metric"
    classical = "classical"
    spherical = "spherical"


def add_embed(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def embed(
        files: list[str] = shared.files,
        scaling: Scaling = typer.Option(
            Scaling.metric,
            help="metric: least squares of distances; classical: of squares; spherical: on a globe.",
        ),
        components: int = typer.Option(2, "--components", "-k", metavar="K", min=1, help="Axes of the map."),
        metric: str | None = typer.Option(
            None, "--metric", "-m", metavar="NAME", help="Of activations; default angular_cka."
        ),
        option: list[str] = shared.option,
        seed: int = typer.Option(0, metavar="N", min=0, help="Of the starts."),
        output: str | None = typer.Option(None, "--output", metavar="FILE", help="Write coordinates: .csv."),
        picture: str | None = shared.picture,
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """
        Map of networks: multidimensional scaling of their distances.

        FILE may be one table of distances that pairwise has written, instead of activations.
        """
        with told(show_traceback):
            check_target(output, (".csv",), "a table of coordinates")
            check_picture(picture)
            if picture is not None and components != 2:
                raise UsageError(
                    f"a map has 2 components, got --components {components}. Leave out --picture."
                )
            table, groups = _table(files, metric, option)
            fitted = _scaled(table.distances, scaling.value, components, seed)
            if json:
                facts = {"metric": table.metric, "unit": table.unit, "stress": fitted.stress_}
                say(as_json({**facts, "labels": table.rows, "coordinates": fitted.embedding_}))
            else:
                say(_text(table, fitted))
            if output is not None:
                _write(table, fitted, output)
            if picture is not None:
                _draw(table, groups, fitted, scaling.value, picture)


def _table(files: list[str], metric: str | None, option: list[str]) -> tuple[Any, list[str]]:
    """Distances, from a table or of activations, and the group of each network."""
    if len(files) == 1 and _is_table(files[0]):
        from repsim_geo.io import load_distances

        if metric is not None or option:
            raise UsageError(
                f"--metric and --option are for activations, and {files[0]} holds distances. Leave them out."
            )
        table = load_distances(files[0])
        if table.rows != table.columns:
            raise UsageError(
                f"{files[0]} must hold distances of networks from each other, got "
                f"{len(table.rows)} x {len(table.columns)} with other names. Write it with repsim-geo "
                "pairwise."
            )
        return table, [""] * len(table.rows)
    arrays, groups = networks_of(files)
    return table_of(arrays, metric_of(metric or "angular_cka", option), progress=interactive()), groups


def _is_table(file: str) -> bool:
    path = Path(file).expanduser()
    if path.suffix.lower() == ".csv":
        return True
    if path.suffix.lower() in (".npz", ".safetensors") and path.exists():
        from repsim_geo.sources import names_of_arrays

        return "distances" in names_of_arrays(str(path))
    return False


def _scaled(distances: Any, scaling: str, components: int, seed: int) -> Any:
    import repsim_geo

    if scaling == "classical":
        return repsim_geo.ClassicalMDS(components).fit(distances)
    kind = repsim_geo.SphericalMDS if scaling == "spherical" else repsim_geo.MetricMDS
    return kind(components, seed=seed).fit(distances)


def _text(table: Any, fitted: Any) -> str:
    places = fitted.embedding_
    axes = [f"axis {i + 1}" for i in range(places.shape[1])]
    body = [(name, *map(float, place)) for name, place in zip(table.rows, places, strict=True)]
    title = f"{table.metric or 'distances'}, stress {float(fitted.stress_):.3g}"
    return f"{title}{f' ({table.unit})' if table.unit else ''}\n{aligned([('', *axes), *body])}"


def _write(table: Any, fitted: Any, file: str) -> None:
    with replacing(Path(file).expanduser(), text=True) as target:
        writer = csv.writer(target)
        writer.writerow(["label", *(f"axis {i + 1}" for i in range(fitted.embedding_.shape[1]))])
        writer.writerows(
            [name, *place] for name, place in zip(table.rows, fitted.embedding_.tolist(), strict=True)
        )
    note(f"wrote {file}")


def _draw(table: Any, groups: list[str], fitted: Any, scaling: str, file: str) -> None:
    from repsim_geo import viz

    known = groups if len(set(groups)) > 1 else None
    if scaling == "spherical":
        ax = viz.globe_map(fitted.embedding_, known, labels=table.rows)
    else:
        ax = viz.embedding_map(fitted.embedding_, table.rows, known, unit=table.unit)
    save_picture(ax, file)
