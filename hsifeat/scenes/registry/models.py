"""Data models of a public scene's description: its files, arrays, classes and provenance."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hsifeat.scenes.colours import default_colours

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(gt=0)]


class _DescriptionModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SceneFile(_DescriptionModel):
    """A file of a scene.

    Attributes
    ----------
    name : str
        File name in the scene's folder.
    url : str
        Download address, or an empty string if unknown.
    sha256 : str or None
        Checksum, or None if unknown.
    optional : bool
        Whether the scene can be opened without this file.
    """

    name: str
    url: str = ""
    sha256: Sha256 | None = None
    optional: bool = False


class SceneArchive(_DescriptionModel):
    """A zip file that contains files of a scene.

    Attributes
    ----------
    url : str
        Download address of the zip file.
    sha256 : str
        Checksum of the zip file.
    folder : str
        Folder of the scene's files inside the zip file.
    """

    url: str
    sha256: Sha256
    folder: str


class ArraySource(_DescriptionModel):
    """File that contains an array, and the name of the array's variable in this file.

    Dots in `variable` select fields of nested MATLAB structs and cells, such as ``hsi.Lidar.0.z``.
    """

    file: str
    variable: str | None = None


class CubeSource(ArraySource):
    """File that contains a (rows, cols, bands) cube, and the name of the cube's variable in this file.

    Attributes
    ----------
    dropped_bands : tuple of int
        Indices of bands in the file that are not part of the scene.
    wavelengths : str or None
        Variable of the same file with the centre wavelengths in nm, or None.
    """

    dropped_bands: tuple[int, ...] = ()
    wavelengths: str | None = None


class LabelSource(ArraySource):
    """File and variable of a label map.

    The variable contains either a (rows, cols) map, or an (n, 2) list of pixels. The classes of listed pixels come from
    another label map.

    Attributes
    ----------
    listed_pixels_of : str
        Name of the label map with the classes of the listed pixels; empty if the variable is a map. The rows and columns of
        listed pixels are counted from 0.
    class_numbers : dict of int to int
        Maps class numbers in the file to class numbers in the scene. Empty if the file and the scene use the same
        numbers.
    unlabelled : int
        Value of unlabelled pixels in the file.
    labelled_pixels : int or None
        Number of labelled pixels in the version of the map that papers use, or None if unknown.
    """

    listed_pixels_of: str = ""
    class_numbers: dict[int, int] = {}
    unlabelled: int = 0
    labelled_pixels: Positive | None = None


class CompanionSource(ArraySource):
    """File and variable of a co-registered image with `channels` channels, such as heights or radar backscatter."""

    channels: Positive


class PublicScene(_DescriptionModel):
    """Description of a public scene.

    Attributes
    ----------
    name, title : str
        Registry name, and the name used in papers.
    sensor, licence, citation, source : str
        Sensor, licence, citation and source of the data, as stated by the providers.
    rows, cols, bands : int
        Shape of the cube.
    gsd_m : float
        Ground sampling distance in metres.
    range_nm : (float, float)
        First and last wavelength in nm.
    wavelengths_nm : tuple of float
        Centre wavelengths of the bands in nm, or an empty tuple if not published.
    package : str
        Python package that ships the scene, or an empty string.
    archive : SceneArchive or None
        Zip file with all files that have no URL.
    files : tuple of SceneFile
        Files of the scene.
    cube : CubeSource or None
        Source of the cube; None if a package ships the scene.
    labels : dict of str to LabelSource
        Sources of the label maps, by name.
    companion : CompanionSource or None
        Source of the companion image, if the scene has one.
    classes : dict of int to str
        Class names by class number.
    unchecked : dict of str to str
        Fields of this description that could not be verified on a real file, with the reason for each field.
    """

    name: str
    title: str
    sensor: str
    rows: Positive
    cols: Positive
    bands: Positive
    gsd_m: Annotated[float, Field(gt=0)]
    range_nm: tuple[float, float]
    wavelengths_nm: tuple[float, ...] = ()
    licence: str
    citation: str
    source: str
    package: str = ""
    archive: SceneArchive | None = None
    files: tuple[SceneFile, ...] = ()
    cube: CubeSource | None = None
    labels: dict[str, LabelSource] = {}
    companion: CompanionSource | None = None
    classes: dict[Positive, str]
    unchecked: dict[str, str] = {}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        file_names = {file.name for file in self.files}
        sources = (self.cube, self.companion, *self.labels.values())
        absent = {source.file for source in sources if source is not None} - file_names
        class_numbers = {number for source in self.labels.values() for number in source.class_numbers.values()}
        wavelengths = self.wavelengths_nm
        problems = {
            f"no file {', '.join(absent)}": absent,
            "neither a cube nor a package": self.cube is None and not self.package,
            f"{len(wavelengths)} wavelengths": len(wavelengths) not in {0, self.bands},
            "wavelengths do not match range_nm": wavelengths and (min(wavelengths), max(wavelengths)) != self.range_nm,
            "class_numbers that are no class": class_numbers - set(self.classes),
            "two classes with one name": len(set(self.classes.values())) < len(self.classes),
            "listed_pixels_of an unknown map": {s.listed_pixels_of for s in self.labels.values()}
            - set(self.labels)
            - {""},
            "unchecked names an unknown field": set(self.unchecked) - set(type(self).model_fields),
        }
        if failures := [problem for problem, failed in problems.items() if failed]:
            raise ValueError("; ".join(failures))
        return self

    @property
    def class_colours(self) -> dict[int, str]:
        """Colour of each class as ``#rrggbb``."""
        return default_colours(self.classes)

    @property
    def official_split(self) -> bool:
        """Whether the scene comes with training and test maps."""
        return {"train", "test"} <= set(self.labels)

    def summary(self) -> dict[str, Any]:
        """Return the description as JSON-compatible values, including class names and colours."""
        summary = self.model_dump(mode="json", exclude={"classes", "unchecked"})
        summary["classes"] = len(self.classes)
        summary["class_names"] = {str(number): name for number, name in self.classes.items()}
        summary["class_colours"] = {str(number): colour for number, colour in self.class_colours.items()}
        summary["official_split"] = self.official_split
        return {**summary, "checked": not self.unchecked, "unchecked": self.unchecked}
