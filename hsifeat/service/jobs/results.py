"""Folders with the results of jobs, and zip files of these folders."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from hsifeat.files import atomic_write


def clear_folder(folder: Path) -> Path:
    """Create an empty folder, and return its path. If the folder exists, everything in it is deleted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_archive(folder: Path, archive: Path) -> None:
    """Write the files of a folder, except hidden files, to a zip file. Names in it start with the folder's name."""
    with atomic_write(archive) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as out:
        add_files(out, folder, folder.parent)


def add_files(archive: zipfile.ZipFile, folder: Path, root: Path) -> None:
    """Add the files of a folder to a zip file. Hidden files, such as locks, are left out.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Open zip file.
    folder : Path
        Folder whose files are added, including the files in its subfolders.
    root : Path
        Folder above `folder`. The names in the zip file are paths relative to `root`.
    """
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(root)
        if file.is_file() and not any(piece.startswith(".") for piece in name.parts):
            archive.write(file, name)
