"""Download of public scenes with pooch. The SHA-256 of a file is checked before the file gets its final name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from hsifeat.errors import SceneError, suggest_names
from hsifeat.files import atomic_write, disk_errors
from hsifeat.scenes.registry.local_files import is_downloadable, missing_files, placement_instructions, scene_folder
from hsifeat.scenes.registry.models import PublicScene
from hsifeat.scenes.registry.public_scenes import REGISTRY

# Called with the name of a file, the bytes downloaded so far, and the total bytes (0 if unknown).
ProgressCallback = Callable[[str, int, int], None]

_TRIES = 3
_TIMEOUT_S = 30
_CHUNK_BYTES = 2**18


def fetch(name: str, on_progress: ProgressCallback = lambda *_: None) -> list[Path]:
    """Download the missing files of a public scene.

    Parameters
    ----------
    name : str
        Registry name of the scene.
    on_progress : callable
        Called during a download with the name of the file, the bytes downloaded so far, and the total bytes (0 if unknown).

    Returns
    -------
    list of Path
        All files of the scene that are present after the download.

    Raises
    ------
    SceneError
        If the scene is unknown. If the URL or checksum of a missing file is unknown. If a download fails. If a file on this
        machine has a wrong checksum. If the URL or checksum is unknown, the message says where to get the file and where to
        put it.
    """
    if name not in REGISTRY:
        raise SceneError(f"no scene named {name!r}; {suggest_names(name, REGISTRY)}")
    scene = REGISTRY[name]
    folder = scene_folder(scene)
    _check_present_files(scene, folder)
    missing = missing_files(scene)
    if not all(is_downloadable(scene, file) for file in missing):
        raise SceneError(f"{name} has no download that can be verified: {placement_instructions(scene, missing)}")
    with disk_errors(folder):
        if any(not file.url for file in missing):
            _fetch_archive(scene, folder, on_progress)
        for file in missing:
            if file.url:
                _download(scene, folder, file.name, file.url, str(file.sha256), on_progress)
    return [folder / file.name for file in scene.files if (folder / file.name).exists()]


def _check_present_files(scene: PublicScene, folder: Path) -> None:
    """Raise `SceneError` if a file on this machine has a wrong checksum. The file is not deleted."""
    from pooch import file_hash

    for file in scene.files:
        path = folder / file.name
        if file.sha256 is not None and path.is_file() and file_hash(str(path)) != file.sha256:
            raise SceneError(
                f"{path} has another sha256 than expected ({file.sha256}): it is damaged or another version; move it elsewhere "
                "and fetch again"
            )


def _fetch_archive(scene: PublicScene, folder: Path, on_progress: ProgressCallback) -> None:
    """Download the zip file of a scene, extract the missing files, and delete the zip file."""
    assert scene.archive is not None  # noqa: S101  # a downloadable file without a URL is in an archive
    name = scene.archive.url.rpartition("/")[2]
    path = _download(scene, folder, name, scene.archive.url, scene.archive.sha256, on_progress)
    try:
        with ZipFile(path) as archive:
            for file in missing_files(scene):
                if not file.url:
                    _extract(archive, f"{scene.archive.folder}/{file.name}", folder / file.name, str(file.sha256))
    except (BadZipFile, KeyError, NotImplementedError) as error:
        raise SceneError(f"{scene.archive.url} is not the expected archive: {error}") from error
    finally:
        path.unlink(missing_ok=True)


def _extract(archive: ZipFile, member: str, path: Path, sha256: str) -> None:
    import shutil

    from pooch import file_hash

    with atomic_write(path) as part:
        with archive.open(member) as stream, part.open("wb") as file:
            shutil.copyfileobj(stream, file)
        if file_hash(str(part)) != sha256:
            raise SceneError(
                f"{member} in {archive.filename} is not the expected file: its sha256 is not {sha256}: fetch again; if it "
                "repeats, the publisher changed the archive"
            )


def _download(
    scene: PublicScene, folder: Path, name: str, url: str, sha256: str, on_progress: ProgressCallback
) -> Path:
    """Download and verify a file with retries, and return its path."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    downloader = pooch.HTTPDownloader(
        progressbar=_PoochProgress(name, on_progress), chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_S
    )
    downloads = pooch.create(
        folder, base_url="", registry={name: f"sha256:{sha256}"}, urls={name: url}, retry_if_failed=_TRIES - 1
    )
    try:
        return Path(downloads.fetch(name, downloader=downloader))
    except OSError as error:
        if error.errno is not None:  # a disk error; the network errors that requests raises have no number
            raise
        reason = " ".join(str(error).split())
    except ValueError:  # pooch's error for a wrong checksum
        reason = f"the server sent another file: its sha256 is not {sha256}"
    raise SceneError(
        f"{url} could not be downloaded and nothing of it was kept: {reason}; try again, or put "
        f"{', '.join(file.name for file in missing_files(scene))} into {folder}"
    )


class _PoochProgress:
    """Progress bar for pooch, which passes each update to `on_progress`."""

    def __init__(self, name: str, on_progress: ProgressCallback) -> None:
        self._name, self._on_progress, self._done, self.total = name, on_progress, 0, 0

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total or self._done + count)
        self._on_progress(self._name, self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Do nothing; pooch requires that a progress bar has this method."""
