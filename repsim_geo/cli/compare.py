"""The command ``repsim-geo compare``: two networks, or the layers of two networks."""

from typing import Any

from repsim_geo.cli.common import (
    Options,
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
from repsim_geo.cli.networks import layers_of, short_names

TABLES = (".csv", ".npz", ".safetensors")


def add_compare(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def compare(
        x: str = typer.Argument(..., metavar="X", help="Activations of a network.", show_default=False),
        y: str = typer.Argument(
            ..., metavar="Y", help="Activations of another, for the same inputs.", show_default=False
        ),
        metric: str = shared.metric,
        option: list[str] = shared.option,
        output: str | None = typer.Option(
            None, "--output", metavar="FILE", help="Write the table of layers: .csv, .npz or .safetensors."
        ),
        picture: str | None = shared.picture,
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """Distance between two networks; layer by layer, if the files hold several."""
        with told(show_traceback):
            check_target(output, TABLES, "a table")
            check_picture(picture)
            table = _distances(x, y, metric_of(metric, option))
            if json:
                say(as_json(table_facts(table)))
            elif table.distances.numel() == 1:
                say(f"{float(table.distances):.6g} {table.unit}".rstrip())
            else:
                say(table_text(table))
            if output is not None:
                save_table(table, output)
            if picture is not None:
                _draw(table, *short_names([x, y]), picture)


def _distances(x: str, y: str, metric: Any) -> Any:
    from repsim_geo.io import DistanceTable
    from repsim_geo.pairwise import pairwise

    rows, columns = layers_of(x), layers_of(y)
    distances = pairwise(_by_file(x, rows), metric, others=_by_file(y, columns))
    card = metric.card
    return DistanceTable(distances, tuple(rows), tuple(columns), card.key, card.unit)


def _by_file(file: str, layers: dict[str, str]) -> dict[str, str]:
    """Arrays by a name that says which file an error is about."""
    return {file if len(layers) == 1 else f"{file}::{layer}": array for layer, array in layers.items()}


def table_facts(table: Any) -> dict[str, Any]:
    """A table of distances as JSON has it."""
    return {
        "metric": table.metric,
        "unit": table.unit,
        "rows": table.rows,
        "columns": table.columns,
        "distances": table.distances,
    }


def table_text(table: Any) -> str:
    """A table of distances for the terminal."""
    import torch

    distances = table.distances
    if distances.numel():  # nothing beside one, or beside the largest, is shown as nothing
        eps = 16 * torch.finfo(distances.dtype).eps
        distances = distances.where(distances.abs() >= eps * distances.abs().amax().clamp_min(1.0), 0.0)
    body = [(name, *map(float, row)) for name, row in zip(table.rows, distances, strict=True)]
    title = f"{table.metric} ({table.unit})" if table.unit else table.metric
    return f"{title}\n{aligned([('', *table.columns), *body])}"


def save_table(table: Any, file: str) -> None:
    """Write a table of distances."""
    from repsim_geo.io import save_distances

    save_distances(table, file)
    note(f"wrote {file}")


def _draw(table: Any, x: str, y: str, file: str) -> None:
    from repsim_geo import viz

    ax = viz.layer_matrix(table.distances, table.rows, table.columns, unit=table.unit)
    ax.set(ylabel=x, xlabel=y)
    save_picture(ax, file)
