"""Check that the values of a file come only from the folder of the file.

HDF5 files, VRTs and Zarr folders can refer to other files. A malicious file could therefore present any file of the machine,
or a network address, as a scene. The readers therefore refuse references that lead out of the folder of the file. They also
refuse references to missing files, because the libraries would silently return fill values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError

_MAX_DEPTH = 8


def check_inside(path: Path, reference: str, kind: str, *, relative_to: Path | None = None) -> Path:
    """Return the path of a referenced file, after checking that the file exists and lies in the parent folder of `path`.

    Parameters
    ----------
    path : Path
        The file or folder with the reference.
    reference : str
        Name of the referenced file, as stored.
    kind : str
        Description of the reference, for messages.
    relative_to : Path, optional
        Base folder of relative references. [default: the parent folder of `path`]

    Raises
    ------
    SceneError
        If the reference leads out of the parent folder of `path`, directly or through a link. If the referenced file is
        missing.
    """
    folder = Path(os.path.realpath(path)).parent
    target = None if "\0" in reference else Path(os.path.realpath((relative_to or folder) / reference))
    # A colon after the path of the folder belongs to a URL, a drive or a file stream. The path of the folder may have colons.
    inside = target is not None and target.is_relative_to(folder) and ":" not in str(target.relative_to(folder))
    if target is None or not (inside or target == Path(os.path.realpath(path))):
        raise SceneError(
            f"{path} refers to {reference} ({kind}), and only files in its own folder are read: if you trust the file, copy it and "
            "its sources to one folder, or convert it to a file with all values"
        )
    if not target.exists():
        raise SceneError(f"{path} refers to {reference} ({kind}), which is missing: copy it to {folder}")
    return target


def check_hdf5_sources(path: Path, depth: int = 0) -> None:
    """Check the external links, external storage and virtual sources of an HDF5 file.

    The referenced HDF5 files are checked in the same way.

    Parameters
    ----------
    path : Path
        An HDF5 file.
    depth : int
        Number of references through which `path` is reached; 0 if the user opened `path` itself.

    Raises
    ------
    SceneError
        If a reference leads out of the folder of the file with this reference. If a reference refers to a missing file or
        data set. If a chain of references is longer than 8 files.
    """
    import h5py

    if depth > _MAX_DEPTH:
        raise SceneError(f"{path} is reached by more than {_MAX_DEPTH} references: its virtual data sets form a circle")
    sources: set[tuple[Path, str]] = set()
    links: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        # The library can't pass on an error that is raised while it visits links, so the links are collected first.
        file.visititems_links(links.__setitem__)
        for name, link in links.items():
            if isinstance(link, h5py.ExternalLink):
                sources.add((check_inside(path, link.filename, f"the external link {name}"), link.path))
            elif isinstance(link, h5py.HardLink) and isinstance(dataset := file[name], h5py.Dataset):
                sources.update(_dataset_sources(path, dataset))
    own = Path(os.path.realpath(path))
    for source, name in sorted(sources):
        if source == own:
            continue
        try:
            check_hdf5_sources(source, depth + 1)
            with h5py.File(source, "r") as other:
                present = "%" in name or name in other
        except OSError as error:
            raise SceneError(f"{path} refers to {source}, which is no intact HDF5 file: {error}") from error
        if not present:
            raise SceneError(f"{path} refers to {name} in {source}, which has no such data set")


def _dataset_sources(path: Path, dataset: Any) -> set[tuple[Path, str]]:
    """Check the references of a data set. Return its virtual sources as pairs of a file and a data set in the file."""
    for reference, *_ in dataset.external or ():
        # The HDF5 library looks for external storage in the working folder.
        check_inside(path, reference, f"the external storage of {dataset.name}", relative_to=Path.cwd())
    sources = set()
    if dataset.is_virtual:
        kind = f"a source of the virtual data set {dataset.name}"
        for source in dataset.virtual_sources():
            if source.file_name == ".":
                continue
            if "%" in source.file_name:
                # A pattern such as part-%b.h5 names a series of files.
                raise SceneError(
                    f"{path}: {dataset.name} has the sources {source.file_name}, a series without an end: not supported"
                )
            sources.add((check_inside(path, source.file_name, kind), source.dset_name))
    return sources


def check_folder(folder: Path) -> None:
    """Check that no link in a folder leads out of the folder.

    Raises
    ------
    SceneError
        If a link in the folder leads out of the folder.
    """
    real = Path(os.path.realpath(folder))
    for entry in folder.rglob("*"):
        if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(real):
            raise SceneError(
                f"{entry} is a link that leads out of {folder}, and only files in the folder are read: replace the link by the "
                "files it refers to"
            )
