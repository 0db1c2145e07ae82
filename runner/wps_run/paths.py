"""Names of files as they are shown and recorded, the same on every system."""

import ntpath
import os
from pathlib import PurePath
from types import ModuleType


def path_from(file: str | PurePath, folder: str | PurePath, system: ModuleType = os.path) -> str:
    """Return the path of a file from a folder, with forward slashes.

    On Windows there is none from one drive to another: then it is the absolute path.

    Args:
        file: The file, absolute or from the working folder.
        folder: The folder, likewise.
        system: The rules for paths: `posixpath` or `ntpath`, by default those of this system.
    """
    try:
        path: str = system.relpath(file, folder)
    except ValueError:
        path = system.abspath(file)
    return path.replace("\\", "/") if system is ntpath else path


def name_below(file: PurePath, folder: PurePath) -> str:
    """Return the path of a file from a folder that it is below, else as it is; as `path_from`."""
    is_below = file.is_absolute() and file.is_relative_to(folder)
    return (file.relative_to(folder) if is_below else file).as_posix()
