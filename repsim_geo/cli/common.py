"""What all commands share: options, how they speak, refuse and write."""

import ast
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repsim_geo._files import replacing

if TYPE_CHECKING:
    from repsim_geo.metrics.base import RepresentationMetric

HOLDS, FAILS, MISUSED, STOPPED = 0, 1, 2, 130

_KERNELS = ("Linear", "RBF", "Laplace", "ArcCosine", "Polynomial")
_PICTURES = (".png", ".pdf", ".svg")


class UsageError(Exception):
    """A command that makes no sense; the message is shown as one line."""


class Options:
    """
    Options that several commands have, with one wording.

    Parameters
    ----------
    typer : module
    """

    def __init__(self, typer: Any):
        def option(default: Any, *names: str, **more: Any) -> Any:
            return typer.Option(default, *names, **more)

        self.files = typer.Argument(
            ...,
            metavar="FILE...",
            help="Activations (inputs, units): .npy, .npz, .safetensors, .h5, .zarr, or folders of them. One "
            "array of several: acts.npz::layer4.",
            show_default=False,
        )
        self.metric = option(
            "angular_cka", "--metric", "-m", metavar="NAME", help="See repsim-geo metrics for all names."
        )
        self.option = option(
            [],
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="Option of the metric, such as whiten=0.5 or kernel=RBF(median). Repeat for more.",
        )
        self.json = option(False, "--json", help="Show JSON instead of text.")
        self.picture = option(None, "--picture", "-p", metavar="FILE", help="Draw: .png, .pdf or .svg.")
        self.traceback = option(False, "--traceback", help="Show where an error arises.")


@contextmanager
def told(show_traceback: bool) -> Iterator[None]:
    """Whatever is raised inside, told in one line."""
    try:
        yield
    except UsageError as error:
        if show_traceback and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        raise
    except Exception as error:
        if show_traceback:
            traceback.print_exception(error)
        # Those with a message that says all.
        if isinstance(error, OSError) and error.filename is not None:
            raise UsageError(f"{error.filename}: {error.strerror}. Choose another file.") from error
        if isinstance(error, ValueError | TypeError | ImportError | OSError):
            raise UsageError(str(error)) from error
        raise UsageError(f"{raised(error)} --traceback shows where.") from error


def called(doing: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call code of the user, whose errors are told in one line."""
    try:
        return function(*args)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{doing} raised {raised(error)} Correct it; --traceback shows where.") from error


def raised(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {one_line(error) or 'no message'}".rstrip(".") + "."


def one_line(text: Any) -> str:
    """Text without line ends."""
    return " ".join(str(text).split())


# --- metrics


def metric_of(name: str, options: Sequence[str]) -> "RepresentationMetric":
    """Metric of a name and options as they are written on a command line."""
    from repsim_geo.registry import as_metric

    return as_metric(name, **dict(map(_key_and_value, options)))


def _key_and_value(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not (sign and key.strip() and value.strip()):
        raise UsageError(f"--option must be KEY=VALUE, got {text!r}. Write for example --option whiten=0.5.")
    return key.strip(), _value(value.strip())


def _value(text: str) -> Any:
    """A number, a truth value, a kernel, or else the text itself."""
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    kernel = re.fullmatch(r"(\w+)(?:\((.*)\))?", text)
    known = {name.lower(): name for name in _KERNELS}
    if kernel is not None and kernel[1].lower() in known:
        import repsim_geo

        arguments = [_value(kernel[2])] if kernel[2] else []
        return getattr(repsim_geo, known[kernel[1].lower()])(*arguments)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# --- what is shown and written


def say(text: str) -> None:
    """Show text on standard output."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough; Python must not try again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(HOLDS) from None


def note(text: str) -> None:
    """Tell what happens, beside the result."""
    print(text, file=sys.stderr)


def as_json(value: Any) -> str:
    """JSON with nan and infinity as null, which JSON does not have."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a table of text: the first column to the left, numbers to the right."""
    cells = [[f"{x:.4g}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in cells
    )


def interactive() -> bool:
    """Whether somebody is watching, who would like to see progress."""
    return sys.stderr.isatty()


def check_target(file: str | None, suffixes: Sequence[str] | None, what: str) -> None:
    """Refuse, before the work is done, what cannot be written after it."""
    if file is None:
        return
    path = Path(file).expanduser()
    if suffixes is not None and path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{what} is written to a file that ends in {', '.join(suffixes)}, got {file}. Choose another "
            "name."
        )
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            f"{what} goes to a file in a directory that exists, got {file}. Choose another name."
        )


def check_picture(file: str | None) -> None:
    """Refuse a picture that could not be drawn, before the work is done."""
    check_target(file, _PICTURES, "a picture")
    if file is not None:
        from repsim_geo._extras import need

        need("matplotlib", "plots", "--picture")


def save_picture(ax: Any, file: str) -> None:
    """Write the figure of some axes."""
    path = Path(file).expanduser()
    from matplotlib import pyplot

    try:
        with replacing(path) as target:
            ax.figure.savefig(target, format=path.suffix[1:].lower())
    finally:
        pyplot.close(ax.figure)
    note(f"wrote {file}")


def write_text(file: str, text: str) -> None:
    """Write text and a line end; an old file is replaced at once."""
    try:
        with replacing(file, text=True) as target:
            target.write(f"{text}\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}. Choose another file.") from error
