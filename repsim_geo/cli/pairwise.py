"""The command ``repsim-geo pairwise``: distances between all pairs of networks."""

from typing import Any

from repsim_geo.cli.common import (
    Options,
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
from repsim_geo.cli.compare import TABLES, save_table, table_facts, table_text
from repsim_geo.cli.networks import networks_of

_SHOWN = 12  # networks whose table still fits a terminal


def add_pairwise(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def pairwise(
        files: list[str] = shared.files,
        metric: str = shared.metric,
        option: list[str] = shared.option,
        output: str | None = typer.Option(
            None, "--output", metavar="FILE", help="Write the table: .csv, .npz or .safetensors."
        ),
        picture: str | None = shared.picture,
        store: str | None = typer.Option(
            None, metavar="FOLDER", help="Keep finished tiles: a run that was stopped goes on from there."
        ),
        memory: str | None = typer.Option(
            None,
            metavar="SIZE",
            help="Use no more than this, such as 2GB; default a quarter of the machine's.",
        ),
        jobs: int | None = typer.Option(
            None, "--jobs", "-j", metavar="N", help="Workers; -1 for one a core."
        ),
        explain: bool = typer.Option(False, "--explain", help="Only say how, with the predicted time."),
        progress: bool | None = typer.Option(
            None, "--progress/--no-progress", help="Show a bar; by default if somebody watches."
        ),
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """Distances between all pairs of networks."""
        with told(show_traceback):
            check_target(output, TABLES, "a table")
            check_picture(picture)
            chosen = metric_of(metric, option)
            arrays, groups = networks_of(files)
            options: dict[str, Any] = {"memory": memory, "n_jobs": jobs}
            if explain:
                from repsim_geo.pairwise import plan_pairwise

                say(str(plan_pairwise(list(arrays.values()), chosen, **options)))
                return
            bar = interactive() if progress is None else progress
            table = table_of(arrays, chosen, progress=bar, store=store, **options)
            if json:
                say(as_json(table_facts(table)))
            else:
                say(table_text(table) if len(arrays) <= _SHOWN else _summary(table))
            if output is not None:
                save_table(table, output)
            elif len(arrays) > _SHOWN and not json:
                note("--output FILE.csv writes the whole table.")
            if picture is not None:
                _draw(table, groups, picture)


def table_of(arrays: dict[str, str], metric: Any, **options: Any) -> Any:
    """Distances between all pairs of labeled arrays."""
    from repsim_geo.io import DistanceTable
    from repsim_geo.pairwise import pairwise

    distances = pairwise(arrays, metric, **options)
    return DistanceTable(distances, tuple(arrays), (), metric.card.key, metric.card.unit)


def _summary(table: Any) -> str:
    """Nearest, farthest and middle of many networks."""
    import torch

    distances, names, unit = table.distances, table.rows, table.unit
    n = len(names)
    i, j = torch.triu_indices(n, n, 1)
    values = distances[i, j]
    near, far = int(values.argmin()), int(values.argmax())
    middle = int(distances.square().sum(1).argmin())
    return "\n".join(
        [
            f"{table.metric}, {n} networks, {len(values)} pairs" + (f" ({unit})" if unit else ""),
            f"nearest   {float(values[near]):.4g}   {names[int(i[near])]} and {names[int(j[near])]}",
            f"median    {float(values.median()):.4g}",
            f"farthest  {float(values[far]):.4g}   {names[int(i[far])]} and {names[int(j[far])]}",
            f"most central: {names[middle]}",
        ]
    )


def _draw(table: Any, groups: list[str], file: str) -> None:
    from repsim_geo import viz

    known = groups if len(set(groups)) > 1 else None
    tree = len(table.rows) > 2 and not bool(table.distances.isnan().any())
    save_picture(
        viz.distance_heatmap(table.distances, table.rows, known, unit=table.unit, dendrogram=tree), file
    )
