"""Downloads of public scenes, by pooch: a file gets its name once it is whole and its sha256 is right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from hsifeat.errors import SceneError, nearest
from hsifeat.files import disk_errors, whole
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.local_files import folder_of, how_to_get, is_known, missing
from hsifeat.scenes.registry.models import PublicScene

# Told of a file's name, how many of its bytes are here, and how many there are (0 where the server does not say).
Advance = Callable[[str, int, int], None]

_TRIES = 3
_SECONDS_OF_SILENCE = 30
_BYTES_AT_A_TIME = 2**18


def fetch(name: str, advance: Advance = lambda *_: None) -> list[Path]:
    """Download what is missing of a public scene.

    Parameters
    ----------
    name : str
        The scene's name in the registry.
    advance : callable
        Told how a download gets on: a file's name, its bytes so far, and in all.

    Returns
    -------
    list of Path
        The scene's files, in its folder.

    Raises
    ------
    SceneError
        No such scene; a file whose address and sha256 are not known, with what to put where; a download that fails or
        brings another file than the known one; or another file that lies there under the name.
    """
    if name not in REGISTRY:
        raise SceneError(f"no scene named {name!r}; {nearest(name, REGISTRY)}")
    scene = REGISTRY[name]
    folder = folder_of(scene)
    _check_those_there(scene, folder)
    lacking = missing(scene)
    unknown = [file for file in lacking if not is_known(scene, file)]
    if unknown:
        raise SceneError(f"{name} has no download that can be checked: {how_to_get(scene, lacking)}")
    with disk_errors(folder):
        if any(not file.url for file in lacking):
            _fetch_archive(scene, folder, advance)
        for file in lacking:
            if file.url:
                _download(scene, folder, file.name, file.url, str(file.sha256), advance)
    return [folder / file.name for file in scene.files if (folder / file.name).exists()]


def _check_those_there(scene: PublicScene, folder: Path) -> None:
    """Refuse a file that lies there under a known one's name; it is the user's, and stays."""
    from pooch import file_hash

    for file in scene.files:
        path = folder / file.name
        if file.sha256 is not None and path.is_file() and file_hash(str(path)) != file.sha256:
            raise SceneError(
                f"{path} is not the file that is known: its sha256 is not {file.sha256}; move it elsewhere"
            )


def _fetch_archive(scene: PublicScene, folder: Path, advance: Advance) -> None:
    """Download the scene's zip file, take its files out, each whole or not at all, and delete it."""
    assert scene.archive is not None  # noqa: S101  # a file without an address is known by its archive
    name = scene.archive.url.rpartition("/")[2]
    path = _download(scene, folder, name, scene.archive.url, scene.archive.sha256, advance)
    try:
        with ZipFile(path) as archive:
            for file in missing(scene):
                if not file.url:
                    _take_out(archive, f"{scene.archive.folder}/{file.name}", folder / file.name, str(file.sha256))
    except (BadZipFile, KeyError, NotImplementedError) as error:
        raise SceneError(f"{scene.archive.url} is not the archive that is known: {error}") from error
    finally:
        path.unlink(missing_ok=True)


def _take_out(archive: ZipFile, member: str, path: Path, sha256: str) -> None:
    import shutil

    from pooch import file_hash

    with whole(path) as part:
        with archive.open(member) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file)
        if file_hash(str(part)) != sha256:
            raise SceneError(
                f"{member} in {archive.filename} is not the file that is known: its sha256 is not {sha256}"
            )


def _download(scene: PublicScene, folder: Path, name: str, url: str, sha256: str, advance: Advance) -> Path:
    """Download a file and check it; try again a few times."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    downloader = pooch.HTTPDownloader(
        progressbar=_Progress(name, advance), chunk_size=_BYTES_AT_A_TIME, timeout=_SECONDS_OF_SILENCE
    )
    store = pooch.create(
        folder, base_url="", registry={name: f"sha256:{sha256}"}, urls={name: url}, retry_if_failed=_TRIES - 1
    )
    try:
        return Path(store.fetch(name, downloader=downloader))
    except OSError as error:
        if error.errno is not None:  # of the disk; those of the network, which requests raises, have no number
            raise
        reason = " ".join(str(error).split())
    except ValueError:  # pooch's, for a checksum
        reason = f"what came is another file: its sha256 is not {sha256}"
    raise SceneError(
        f"{url} could not be downloaded, nothing of it was kept: {reason}; try again, or put "
        f"{', '.join(file.name for file in missing(scene))} into {folder}"
    )


class _Progress:
    """What pooch takes for a progress bar."""

    def __init__(self, name: str, advance: Advance) -> None:
        self._name, self._advance, self._done, self.total = name, advance, 0, 0

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total or self._done + count)
        self._advance(self._name, self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing to close."""
