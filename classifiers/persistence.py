"""Save and load fitted heads as folders of files. The file formats are open, and loading runs no code.

```
<model>/
  model.json           format, head, parameters, layout, classes, metadata, library versions, sha256 of the other files, seal
  state.skops          fitted scikit-learn objects, restricted to a fixed list of types
  weights.safetensors  torch heads: state of the network
  booster.txt          LightGBM: the trees
```
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from classifiers.heads.base import Head
from classifiers.heads.registry import make_head, registered_name
from classifiers.layout import Layout
from classifiers.restored_head import check_restored
from classifiers.state_file import read_state, write_state
from hsifeat.errors import HeadError, error_summary, raise_resource_error
from hsifeat.files import check_output, delete_leftovers, disk_errors, read_regular, temporary_path
from hsifeat.seals import SealError, open_json, seal_json
from hsifeat.types import check_path

FORMAT = "hsifeat-model"
FORMAT_VERSION = 1
MANIFEST, STATE, WEIGHTS, BOOSTER = "model.json", "state.skops", "weights.safetensors", "booster.txt"
# Digest of the manifest of each loaded head, and its fitted attributes as loaded. A new fit replaces these objects.
_LOADED: WeakKeyDictionary[Head, tuple[str, dict[str, Any]]] = WeakKeyDictionary()
LIBRARIES = ("hsifeat", "numpy", "scikit-learn", "skops", "torch", "lightgbm")


def save_head(head: Head, folder: str | Path, *, meta: dict[str, Any] | None = None) -> None:
    """Save a fitted head to a folder.

    The folder appears under its name only when all files are written.

    Parameters
    ----------
    head : Head
        A fitted head of a registered class.
    folder : str or Path
        Folder to write, or a link to it. An existing model is replaced when the new model is complete; other files in its
        folder are kept.
    meta : dict
        Further JSON values to save with the head. [default: none]

    Raises
    ------
    HeadError
        If the head is not fitted or not registered. If the head has an attribute that is not a parameter and does not
        end in an underscore. If `meta` or a parameter can't be written as JSON. If `folder` exists and is not a model.

    Examples
    --------
    >>> import tempfile
    >>> X, y = np.array([[0.0], [0.1], [5.0], [5.1]]), [1, 1, 2, 2]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_head(make_head("lda").fit(X, y), Path(folder) / "model")
    ...     head, _ = load_head(Path(folder) / "model")
    >>> head.predict([[4.9]]).tolist()
    [2]
    """
    check_path("the folder of a head", folder)
    folder = Path(folder)
    if (folder.exists() or folder.is_symlink()) and not _is_model(folder):
        raise HeadError(f"{folder} exists and is not a model; choose another folder or remove it")
    check_output(folder, replaces=MANIFEST)
    folder = folder.resolve()
    name = registered_name(head)
    params = head.get_params(deep=False)
    fitted = {key: value for key, value in vars(head).items() if key not in params}
    if "classes_" not in fitted:
        raise HeadError(f"the {name} head is not fitted; call fit before saving it")
    if foreign := _foreign_attributes(fitted):
        raise HeadError(
            f"the {name} head has the attributes {', '.join(foreign)}, which are neither parameters nor named like the result of "
            "a fit: end each name in an underscore, and begin none with one"
        )
    files = _to_files(fitted, head.persisted_types)
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "head": name,
        "class": f"{type(head).__module__}.{type(head).__qualname__}",
        "params": {key: _encode(value) for key, value in params.items() if key != "layout"},
        "layout": None if head.layout is None else head.layout.to_json(),
        "classes": head.classes_.tolist(),
        "meta": {} if meta is None else meta,
        "libraries": {"python": platform.python_version()} | _versions(),
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    try:
        text = seal_json(json.loads(json.dumps(manifest, default=_to_python)), MANIFEST, indent=2)
    except TypeError as error:
        raise HeadError(f"a parameter or meta of the {name} head can't be written as JSON: {error}") from error
    with disk_errors(folder):
        _write_atomically(folder, files | {MANIFEST: text.encode()})


def load_head(folder: str | Path) -> tuple[Head, dict[str, Any]]:
    """Load a head that `save_head` wrote.

    Parameters
    ----------
    folder : str or Path
        Folder of the model. The folder may come from an untrusted source, since loading executes no code from it.

    Returns
    -------
    head : Head
        The fitted head, with the same predictions as the saved head. A head that was trained on a GPU also predicts on
        a CPU.
    meta : dict
        The metadata passed to `save_head`.

    Raises
    ------
    HeadError
        If a file is missing or changed. If the format version is unknown. If a file contains a type that heads don't
        use.

    Examples
    --------
    >>> head, meta = load_head("model")
    >>> head.classes_.tolist()
    [1, 2, 3, 4]
    """
    head, meta, _ = load_saved_head(folder)
    return head, meta


def load_saved_head(folder: str | Path) -> tuple[Head, dict[str, Any], str]:
    """Load a head as `load_head` does. Also return a sha256 of the manifest, which has the sha256 of each file.

    Raises
    ------
    HeadError
        As `load_head`.
    """
    check_path("the folder of a model", folder)
    folder = Path(folder)
    with suppress(OSError):  # In a read-only folder, no replacement can have been interrupted.
        _recover(folder)
    manifest = _read_manifest(folder)
    try:
        layout = None if manifest["layout"] is None else Layout.from_json(manifest["layout"])
        params = {key: _decode(value) for key, value in manifest["params"].items()}
        name, meta, digests = str(manifest["head"]), dict(manifest["meta"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise HeadError(f"{folder / MANIFEST} is damaged: {error!r}; save the model again") from error
    if params.get("device") == "cuda":
        params["device"] = "auto"
    head = make_head(name, layout, **params)
    files = {file: _read_checked(folder / file, digests.get(file)) for file in digests if _is_model_file(file, folder)}
    fitted = _from_files(files, head.persisted_types, folder)
    if _foreign_attributes(fitted) or "classes_" not in fitted:
        raise HeadError(f"{folder} does not hold the state of a fitted head; save the model again")
    for key, value in fitted.items():
        setattr(head, key, value)
    try:
        if head.classes_.tolist() != manifest["classes"]:
            raise ValueError(f"the classes differ from those in {MANIFEST}")  # noqa: TRY301  # reported below
        check_restored(head)
    except Exception as error:  # libraries raise errors of many classes for hostile numbers
        raise_resource_error(error)
        raise HeadError(
            f"{folder} holds a state that fitting can't produce: {error_summary(error)}; don't trust this model"
        ) from error
    digest = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    _LOADED[head] = digest, {key: getattr(head, key) for key in fitted}
    return head, meta, digest


def is_as_loaded(head: Head, digest: str) -> bool:
    """Return whether a head was loaded from files with the sha256 `digest`, and has not been fitted since.

    A copy of a loaded head counts as another head.
    """
    loaded, fitted = _LOADED.get(head, ("", {}))
    return loaded == digest and all(getattr(head, key, None) is value for key, value in fitted.items())


def _foreign_attributes(fitted: dict[str, Any]) -> list[str]:
    """Return the names that can't be names of fitted attributes: these end in an underscore, and do not begin with an underscore."""
    return [name for name in fitted if name.startswith("_") or not name.endswith("_")]


def _to_files(fitted: dict[str, Any], allowed: frozenset[str]) -> dict[str, bytes]:
    """Convert the fitted attributes of a head to the contents of the model files, by file name."""
    state = dict(fitted)
    files: dict[str, bytes] = {}
    if "weights_" in state:
        from safetensors.numpy import save

        # np.array rather than np.ascontiguousarray, which turns a scalar into a vector.
        files[WEIGHTS] = save({key: np.array(value, order="C") for key, value in state.pop("weights_").items()})
    if "booster_text_" in state:
        files[BOOSTER] = state.pop("booster_text_").encode()
    files[STATE] = write_state(state, allowed)
    return files


def _from_files(files: dict[str, bytes], allowed: frozenset[str], folder: Path) -> dict[str, Any]:
    """Convert the contents of the model files, by file name, to the fitted attributes of a head."""
    if STATE not in files:
        raise HeadError(f"{folder} lists no {STATE}; save the model again")
    fitted = read_state(files[STATE], allowed, folder / STATE)
    if WEIGHTS in files:
        from safetensors.numpy import load

        try:
            fitted["weights_"] = load(files[WEIGHTS])
        except Exception as error:  # safetensors raises errors of many classes, such as for a dtype that NumPy lacks
            raise HeadError(f"{folder / WEIGHTS} is no safetensors file: {error}; save the model again") from error
    if BOOSTER in files:
        fitted["booster_text_"] = files[BOOSTER].decode(errors="replace")
    return fitted


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    advice = "copy the whole folder again, or fit the model again"
    if not path.exists():
        raise HeadError(f"{folder} is not a model: it has no {MANIFEST}; name a folder that hsifeat fit wrote")
    try:
        manifest = open_json(path, MANIFEST, advice=advice)
        if manifest.get("format") != FORMAT:
            raise HeadError(f"{path} does not belong to a model of hsifeat; name a folder that hsifeat fit wrote")
        if manifest.get("version") != FORMAT_VERSION:
            raise HeadError(
                f"{path} is of format version {manifest.get('version')}; this hsifeat reads version {FORMAT_VERSION}: use the "
                "release that wrote it or fit again"
            )
    except SealError as error:
        raise HeadError(str(error)) from error
    return manifest


def _is_model(folder: Path) -> bool:
    try:
        return bool(json.loads(read_regular(folder / MANIFEST))["format"] == FORMAT)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _is_model_file(file: str, folder: Path) -> bool:
    if file not in (STATE, WEIGHTS, BOOSTER):
        raise HeadError(f"{folder / MANIFEST} lists {file!r}, which is not a model file; don't trust this model")
    return True


def _read_checked(path: Path, digest: str | None) -> bytes:
    try:
        content = read_regular(path)
    except OSError as error:
        raise_resource_error(error)
        raise HeadError(
            f"{path} is missing or can't be read ({error.strerror}); copy the whole folder or save the model again"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise HeadError(
            f"{path} does not match its checksum in {MANIFEST}; copy the file again or save the model again"
        )
    return content


def _write_atomically(folder: Path, files: dict[str, bytes]) -> None:
    """Write files to a temporary folder, then rename this folder to `folder`.

    If the process is killed between the two renames of a replacement, `_recover` restores the previous model.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _recover(folder)
    delete_leftovers(folder.parent)
    new, old = (temporary_path(folder, suffix) for suffix in ("new", "old"))
    try:
        new.mkdir()
        for file, content in files.items():
            (new / file).write_bytes(content)
        if not folder.exists():
            new.rename(folder)
            return
        _keep_other_files(folder, new)
        folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        shutil.rmtree(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _keep_other_files(model: Path, new: Path) -> None:
    """Link or copy files that do not belong to a model into the folder that replaces it."""
    for path in model.iterdir():
        if path.name in (MANIFEST, STATE, WEIGHTS, BOOSTER):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, new / path.name)


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # The file system has no hard links.
        shutil.copy2(source, target, follow_symlinks=False)


def _recover(folder: Path) -> None:
    """Restore the previous model if `folder` is missing because a process was killed while it replaced the model."""
    if folder.exists() or folder.is_symlink():
        return
    for old in folder.parent.glob(f".{glob.escape(folder.name)}.*.old"):
        if _is_model(old):
            old.rename(folder)
            return


def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions


def _encode(param: Any) -> Any:
    """Convert a parameter of a head to JSON values.

    A dictionary becomes a list of pairs, because the keys of a JSON object can't be numbers.
    """
    return {"pairs": [list(pair) for pair in param.items()]} if isinstance(param, dict) else param


def _decode(value: Any) -> Any:
    """Convert JSON values from `_encode` back to a parameter. A list becomes a tuple."""
    if isinstance(value, dict):
        return dict(map(tuple, value["pairs"]))
    return tuple(value) if isinstance(value, list) else value


def _to_python(value: Any) -> Any:
    """Convert a NumPy scalar to a Python number, because JSON can't represent NumPy scalars."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")
