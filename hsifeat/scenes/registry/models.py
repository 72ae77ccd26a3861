"""Data models for the description of a public scene: files, arrays, classes and provenance."""

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
    """Where an array of a scene is stored: the name of a file, and the name of a variable in this file.

    If the array is inside nested MATLAB structs and cells, `variable` is a path with dots, such as ``hsi.Lidar.0.z``.
    A number in the path is the index of an element, counted from 0.
    """

    file: str
    variable: str | None = None


class CubeSource(ArraySource):
    """Where the (rows, cols, bands) cube of a scene is stored: file, variable and bands.

    Attributes
    ----------
    dropped_bands : tuple of int
        Indices of the bands that the file has, but the scene lacks.
    wavelengths : str or None
        Name of the variable with the centre wavelengths in nm, in the file of the cube; None if the file has no
        wavelengths.
    """

    dropped_bands: tuple[int, ...] = ()
    wavelengths: str | None = None


class LabelSource(ArraySource):
    """Where a label map of a scene is stored, and what its values mean.

    The variable is a (rows, cols) array of class numbers, or an (n, 2) array with the row and column of n pixels. An (n, 2)
    array has no class numbers; they are read from another label map at these pixels.

    Attributes
    ----------
    listed_pixels_of : str
        If the variable is an (n, 2) array, the name of another label map, from which the class numbers of the n pixels are
        read. Otherwise, an empty string. Rows and columns in the array are counted from 0.
    class_numbers : dict of int to int
        Class number in the scene for each class number in the file. Empty if both numbers are equal for all classes.
    unlabelled : int
        Value of unlabelled pixels in the file.
    labelled_pixels : int or None
        Number of labelled pixels that papers state for this label map, or None if unknown.
    """

    listed_pixels_of: str = ""
    class_numbers: dict[int, int] = {}
    unlabelled: int = 0
    labelled_pixels: Positive | None = None


class CompanionSource(ArraySource):
    """Where the companion image of a scene is stored. The image has `channels` channels, such as heights."""

    channels: Positive


class PublicScene(_DescriptionModel):
    """Description of a public scene.

    Attributes
    ----------
    name, title : str
        Name by which the scene is opened, and name used in papers.
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
        Name of the Python package that contains the scene. An empty string if the scene is read from files.
    archive : SceneArchive or None
        Zip file that contains all files whose `SceneFile.url` is empty; None if there is no such zip file.
    files : tuple of SceneFile
        Files of the scene.
    cube : CubeSource or None
        Where the cube is stored; None if a Python package contains the scene.
    labels : dict of str to LabelSource
        Where each label map is stored, by the name of the label map.
    companion : CompanionSource or None
        Where the companion image is stored; None if the scene has no companion image.
    classes : dict of int to str
        Class names by class number.
    unchecked : dict of str to str
        Names of the fields that could not be verified on a real file, with the reason for each field.
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
        """Whether the scene has the label maps ``train`` and ``test``, which define an official split."""
        return {"train", "test"} <= set(self.labels)

    def summary(self) -> dict[str, Any]:
        """Return the description as JSON-compatible values, including class names and colours."""
        summary = self.model_dump(mode="json", exclude={"classes", "unchecked"})
        summary["classes"] = len(self.classes)
        summary["class_names"] = {str(number): name for number, name in self.classes.items()}
        summary["class_colours"] = {str(number): colour for number, colour in self.class_colours.items()}
        summary["official_split"] = self.official_split
        return {**summary, "checked": not self.unchecked, "unchecked": self.unchecked}
