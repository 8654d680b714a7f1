"""The command ``repsim-geo demo``: train small networks, compare them, write a report."""

from typing import Any

from repsim_geo.cli.common import told


def add_demo(application: Any, typer: Any) -> None:
    """Add the command to the application."""

    @application.command()
    def demo(
        out: str = typer.Option("demo-output", metavar="FOLDER", help="Where everything goes."),
        seed: int = typer.Option(0, metavar="N", min=0, help="Another seed, another population."),
        quick: bool = typer.Option(False, "--quick", help="Few networks, hardly trained."),
        show: bool = typer.Option(False, "--open", help="Show the report in the browser at the end."),
        show_traceback: bool = typer.Option(False, "--traceback", help="Show where an error arises."),
    ) -> None:
        """Train 32 small networks on digits, compare them, write a report; two to three minutes."""
        with told(show_traceback):
            from repsim_geo.demo.__main__ import main

            status = main(["--out", out, "--seed", str(seed), *["--quick"] * quick, *["--open"] * show])
        raise typer.Exit(status)
