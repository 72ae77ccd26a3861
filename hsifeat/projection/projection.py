"""A fitted projection from spectra to channels: ``spectrum @ weights + offset``, followed by clipping and gamma correction.

Feature stores and backbones contain the fitted arrays, so that other scenes can be projected in the same way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError, SceneError, error_summary, raise_resource_error
from hsifeat.files import atomic_write, check_replaced, disk_errors, open_safetensors
from hsifeat.formatting import format_count, format_value
from hsifeat.objects_with_arrays import ReadOnlyArrays
from hsifeat.projection.image import SpectralImage
from hsifeat.scenes.scene_checks import as_lengths, as_texts
from hsifeat.types import check_path, has_labelled_axes


@dataclass(frozen=True, eq=False)
class Projection(ReadOnlyArrays):
    """A fitted map from bands to channels; see `fit_projection`. Arrays are copied, and the copies can't be changed.

    Attributes
    ----------
    spec : str
        Canonical text form of the projection, from `ProjectionSpec.to_text`.
    weights : (bands, channels) float32 array
        Linear part of the map.
    offset : (channels,) float32 array
        Constant part of the map.
    clip : bool
        Whether channels are clipped to [-1, 1], the range of image models.
    gamma : float
        Exponent of the gamma correction. After clipping, the channels are mapped from [-1, 1] to [0, 1], raised to this
        power, and mapped back. Values below 1 brighten dark pixels.
    notes : tuple of str
        Notes on assumptions made while fitting.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths of the input bands in nm, if known. An extraction selects the bands of a scene at these wavelengths.
    band_names : tuple of str
        Names of the input bands, see `hsifeat.scenes.band_matching.names_of_bands`, for notes on scenes whose bands have others; empty if unknown.
    scale : float or None
        Reflectance scale of the scene that the projection was fitted to, for notes on scenes with another scale; None if unknown.

    Raises
    ------
    ProjectionError
        If a value has another type or shape, or is masked or not finite. If `weights` or `offset` is an `xarray.DataArray` or a
        pandas object, whose coordinates would be ignored.
    SceneError
        If the wavelengths are not one positive number per band. If `band_names` is not empty and not one text per band.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((16, 16, 4)))
    >>> hsifeat.fit_projection("pca:2", scene).weights.shape
    (4, 2)
    """

    spec: str
    weights: NDArray[np.float32]
    offset: NDArray[np.float32]
    clip: bool
    gamma: float = 1.0
    notes: tuple[str, ...] = ()
    wavelengths_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    scale: float | None = None
    _read_only = ("weights", "offset", "wavelengths_nm")

    def __post_init__(self) -> None:
        weights, offset = (_float32(getattr(self, name), name, axes) for name, axes in (("weights", 2), ("offset", 1)))
        if len(offset) != weights.shape[1]:
            raise ProjectionError(
                f"weights of shape {weights.shape} need an offset of shape ({weights.shape[1]},); found {offset.shape}"
            )
        if not isinstance(self.spec, str) or not isinstance(self.clip, bool | np.bool_):
            raise ProjectionError(
                f"spec is a text, and clip True or False; found {self.spec!r:.60} and {self.clip!r:.60}"
            )
        for name in ("gamma", "scale"):
            _check_positive(getattr(self, name), name)
        nm = as_lengths(self.wavelengths_nm, len(weights), "wavelengths_nm")
        nm = None if nm is None else nm.copy()
        names = as_texts(self.band_names, "band_names")
        if len(names) not in {0, len(weights)}:
            raise SceneError(f"{len(names)} band_names for {len(weights)} bands: give one per band")
        own = {
            "weights": weights,
            "offset": offset,
            "wavelengths_nm": nm,
            "band_names": names,
            "clip": bool(self.clip),
            "gamma": float(self.gamma),
            "scale": None if self.scale is None else float(self.scale),
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)
        self._set_read_only()  # the digest is computed once

    def __repr__(self) -> str:
        bands, channels = self.weights.shape
        return f"<Projection {self.spec}: {format_count(bands, 'band')} to {format_count(channels, 'channel')}>"

    @property
    def black(self) -> float:
        """Value of padded pixels: -1 (darkest) for ``rgb`` and ``bands``, 0 (mean) for ``pca`` and ``all``."""
        return -1.0 if self.clip and not self.spec.startswith(("pca:", "all")) else 0.0

    @property
    def bands(self) -> int:
        """Number of input bands."""
        return int(self.weights.shape[0])

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self.weights.shape[1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex digest of weights, offset, clipping and gamma."""
        gamma = "" if self.gamma == 1 else f",{self.gamma!r}"
        digest = hashlib.sha256(f"{self.bands},{self.channels},{self.clip}{gamma};".encode())
        digest.update(np.ascontiguousarray(self.weights, "<f4").data)
        digest.update(np.ascontiguousarray(self.offset, "<f4").data)
        return digest.hexdigest()

    def apply(self, spectra: NDArray[np.generic]) -> NDArray[np.float32]:
        """Project spectra to channels.

        Parameters
        ----------
        spectra : (..., bands) array
            Stored values of a scene, of any real dtype.

        Returns
        -------
        (..., channels) float32 array
            Channels of each spectrum.

        Raises
        ------
        ProjectionError
            If the spectra have another number of bands, or masked values. If they are an `xarray.DataArray` or a
            pandas object, whose coordinates would be ignored.

        Examples
        --------
        >>> mean = Projection("mean", np.full((4, 1), 0.25, np.float32), np.zeros(1, np.float32), clip=False)
        >>> mean.apply(np.array([1, 2, 3, 4])).tolist()
        [2.5]
        """
        if np.shape(spectra)[-1:] != (self.bands,):
            raise ProjectionError(
                f"the projection {self.spec} takes spectra of {format_count(self.bands, 'band')}; found an array of shape {np.shape(spectra)}"
            )
        _refuse_labelled_axes(spectra, "spectra")
        if np.ma.is_masked(spectra):
            raise ProjectionError("masked spectra would be projected like all others: leave out the masked pixels")
        with np.errstate(over="ignore", invalid="ignore"):  # invalid pixels may hold values beyond float32
            # BLAS rounds differently for another order in memory: a scene and its copy in a store must give the same bits.
            channels = np.ascontiguousarray(spectra, np.float32) @ self.weights + self.offset
        if self.clip:
            channels = np.clip(channels, -1, 1)
        if self.gamma != 1:
            channels = 2 * ((channels + 1) / 2) ** np.float32(self.gamma) - 1
        return channels

    def check(self, image: SpectralImage) -> None:
        """Raise `ProjectionError` if an image and the projection have different numbers of bands."""
        if image.bands != self.bands:
            raise ProjectionError(
                f"the projection {self.spec} was fitted for {format_count(self.bands, 'band')}; {image.name} has {image.bands}: "
                "choose another projection with `projection`"
            )

    def save(self, path: str | Path) -> None:
        """Write the projection to a safetensors file.

        Raises
        ------
        HsifeatError
            If `path` is no path.
        StoreError
            If the file can't be written. If it exists, and is no projection that hsifeat wrote.
        """
        from safetensors.numpy import save

        # save_file would first write a temporary file beside this file, and a killed process would leave it behind.
        # The library writes the entries of the metadata in a random order, so one entry holds all: equal projections have equal bytes.
        facts = {"spec": self.spec, "clip": self.clip, "gamma": float(self.gamma)}
        if self.band_names:
            facts["band_names"] = list(self.band_names)
        if self.scale is not None:
            facts["scale"] = self.scale
        metadata = {"projection": json.dumps(facts)}
        arrays: dict[str, NDArray[np.floating]] = {"weights": self.weights, "offset": self.offset}
        if self.wavelengths_nm is not None:
            arrays["wavelengths_nm"] = np.asarray(self.wavelengths_nm, np.float64)
        check_path("the file of a projection", path)
        path = Path(path)
        check_replaced(path, "projection", _is_projection)
        with disk_errors(path), atomic_write(path) as part:
            part.write_bytes(save(arrays, metadata))

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read a projection from a file that `save` wrote.

        Raises
        ------
        ProjectionError
            If the file is missing or damaged. If the file is not a saved projection.
        """
        try:
            with open_safetensors(path, "numpy") as file:
                facts = json.loads((file.metadata() or {})["projection"])
                weights, offset = file.get_tensor("weights"), file.get_tensor("offset")
                nm = file.get_tensor("wavelengths_nm") if "wavelengths_nm" in file.keys() else None  # noqa: SIM118  # no dict
                spec, clip, gamma = facts["spec"], facts["clip"], float(facts["gamma"])
                names, scale = facts.get("band_names", ()), facts.get("scale")
                if {array.dtype for array in (weights, offset)} != {np.dtype(np.float32)}:
                    raise ValueError("the numbers are not float32 values")  # noqa: TRY301
                return cls(spec, weights, offset, clip, gamma, wavelengths_nm=nm, band_names=names, scale=scale)
        except Exception as error:  # damaged files raise errors of many classes
            raise_resource_error(error)
            raise ProjectionError(f"{path} is not a projection that hsifeat wrote: {error_summary(error)}") from error


def _is_projection(path: Path) -> bool:
    with open_safetensors(path, "numpy") as file:
        return "projection" in (file.metadata() or {})


def _check_positive(number: object, name: str) -> None:
    if number is None and name == "scale":
        return
    if isinstance(number, bool) or not isinstance(number, Real) or not 0 < float(number) < np.inf:
        raise ProjectionError(f"{name} is a positive number; found {format_value(number)}")


def _refuse_labelled_axes(values: object, name: str) -> None:
    if has_labelled_axes(values):
        raise ProjectionError(
            f"{name} must be a NumPy array; found {type(values).__name__}, whose coordinates would be ignored: give its values with "
            "the bands in the order of the scene"
        )


def _float32(values: object, name: str, axes: int) -> NDArray[np.float32]:
    _refuse_labelled_axes(values, name)
    if np.ma.is_masked(values):
        raise ProjectionError(f"{name} must be an array without masked values, which would count as numbers")
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.ndim != axes or array.dtype.kind not in "iuf":
        raise ProjectionError(
            f"{name} must be an array of numbers with {axes} {'axis' if axes == 1 else 'axes'}; found {format_value(values)}"
        )
    with np.errstate(over="ignore"):
        array = np.array(array, np.float32, order="C")
    if not np.isfinite(array).all():
        raise ProjectionError(f"{name} must be finite numbers of float32")
    return array
