"""Files that are complete as soon as they have their name."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacing(path: str | os.PathLike[str], *, text: bool = False) -> Iterator[IO[Any]]:
    """
    Open a new file that takes the place of an old one once the block has ended well.

    After a full disk, an exception, Ctrl-C or a kill the old file is as it was.

    Parameters
    ----------
    path : str or path
    text : bool
        Open for text in UTF-8, with line ends as they are written; otherwise for bytes.

    Yields
    ------
    file
    """
    path = Path(path)
    check_parent(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(
            temporary, "x" if text else "xb", **({"encoding": "utf-8", "newline": ""} if text else {})
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _settle(path.parent)


def check_parent(path: str | os.PathLike[str]) -> None:
    """
    Refuse the name of a file in a folder that does not exist.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    FileNotFoundError
    """
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(
            f"a file must lie in a folder that exists, got {str(path)!r}. Make the folder first, or choose "
            "another."
        )


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Make a folder that takes the place of an old one once the block has ended well.

    Parameters
    ----------
    path : str or path

    Yields
    ------
    Path
        Of the new folder, beside the old one until then.
    """
    path = Path(path)
    mark = secrets.token_hex(8)
    temporary, old = (path.with_name(f"{path.name}.{mark}.{kind}") for kind in ("tmp", "old"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for file in temporary.iterdir():
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        if path.exists():
            os.rename(path, old)
        os.rename(temporary, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """See to it that names last over a crash of the machine; not every system can be told to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
