"""The application: one command a file, every mistake in one line."""

# No annotations from __future__: typer evaluates those of the commands, which are made inside of `app`.

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from repsim_geo import __version__
from repsim_geo._extras import need
from repsim_geo.cli.common import HOLDS, MISUSED, STOPPED, UsageError, one_line
from repsim_geo.cli.compare import add_compare
from repsim_geo.cli.demo import add_demo
from repsim_geo.cli.embed import add_embed
from repsim_geo.cli.mean import add_mean
from repsim_geo.cli.metrics import add_metrics
from repsim_geo.cli.pairwise import add_pairwise
from repsim_geo.cli.path import add_path
from repsim_geo.cli.verify import add_verify

_COMMANDS = (
    add_compare,
    add_pairwise,
    add_mean,
    add_path,
    add_embed,
    add_metrics,
    add_verify,
    add_demo,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process by default.

    Raises
    ------
    SystemExit
        Always: 0 when all is well, 1 when a law fails, 2 for a command that makes no sense, 130 when stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # terminals without π
            stream.reconfigure(errors="backslashreplace")
    try:
        application = app()
    except ImportError as error:
        print(f"repsim-geo: {error}", file=sys.stderr)
        sys.exit(MISUSED)
    application(arguments, prog_name="repsim-geo")


def app() -> Any:
    """
    Application with its commands.

    Returns
    -------
    typer.Typer

    Raises
    ------
    ImportError
        Without typer; says what to install.
    """
    typer = need("typer", "cli", "The command repsim-geo")
    application = typer.Typer(
        cls=_group(typer),
        help="Riemannian geometry of neural representations.",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"repsim-geo {__version__}")
            raise typer.Exit

    @application.callback(invoke_without_command=True)
    def commands(
        context: typer.Context,  # pyright: ignore[reportInvalidTypeForm]
        version: bool = typer.Option(
            False, "--version", help="Show the version.", callback=show_version, is_eager=True
        ),
    ) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
            raise typer.Exit(MISUSED)

    for add in _COMMANDS:
        add(application, typer)
    return application


def _show_warning(message: Any, *where: Any) -> None:
    """A warning in one line, without the place in the code that gave rise to it."""
    print(f"repsim-geo: warning: {one_line(message)}", file=sys.stderr)


def _group(typer: Any) -> type:
    """Class of the application, which says every mistake in one line."""
    core = need("typer.core", "cli", "The command repsim-geo")
    # The base of typer's own errors has no public name, and has moved between versions.
    mistake = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

    class Commands(core.TyperGroup):
        def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
            try:
                with warnings.catch_warnings():
                    warnings.showwarning = _show_warning
                    status = super().main(*args, standalone_mode=False, **options)
            except mistake as error:
                context = getattr(error, "ctx", None)
                path = context.command_path if context else "repsim-geo"
                said = one_line(error.format_message()).replace("Value error, ", "")
                said = said if said.endswith((".", "?")) else f"{said}."
                typer.echo(f"{path}: {said} See {path} --help.", err=True)
                status = MISUSED
            except UsageError as error:
                typer.echo(f"repsim-geo: {one_line(error)}", err=True)
                status = MISUSED
            except (KeyboardInterrupt, typer.Abort):
                status = STOPPED
            sys.exit(status or HOLDS)

    return Commands
