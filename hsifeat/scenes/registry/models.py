"""What is known of a public scene before it is opened: the form of the files in ``scenes/``, and their reader."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hsifeat.scenes.colours import default_colours

if TYPE_CHECKING:
    from hsifeat.scenes.scene import Scene

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(gt=0)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Facts):
    """A file of a scene: its name, and where known its address and sha256; the scene can do without an optional one."""

    name: str
    url: str = ""
    sha256: Sha256 | None = None
    optional: bool = False


class Archive(_Facts):
    """A zip file that holds a scene's files in `folder`."""

    url: str
    sha256: Sha256
    folder: str


class Variable(_Facts):
    """An array in a file; `variable` goes down into structs and cells by dots (``hsi.Lidar.0.z``)."""

    file: str
    variable: str | None = None


class CubeFacts(Variable):
    """The cube, of shape (rows, cols, bands) without the bands `left_out` (from 0), and the variable of its wavelengths."""

    left_out: tuple[int, ...] = ()
    wavelengths: str | None = None


class LabelFacts(Variable):
    """A label map of shape (rows, cols), or one (row, col) a line, from 0, of pixels of the map `pixels_of`.

    `numbers` takes the file's class numbers to the scene's; `labelled` is how many pixels have a class.
    """

    pixels_of: str = ""
    numbers: dict[int, int] = {}
    unlabelled: int = 0
    labelled: Positive | None = None


class CompanionFacts(Variable):
    """A co-registered image: height, intensity or radar on the scene's grid."""

    channels: Positive


class PublicScene(_Facts):
    """A public scene.

    Attributes
    ----------
    name, title : str
        What a user types, and what a paper calls it.
    sensor, licence, citation, source : str
        As the providers state them, and where the data come from.
    rows, cols, bands : int
        Shape.
    gsd_m : float
        Ground sampling distance in metres.
    range_nm : (float, float)
        First and last wavelength in nm; `wavelengths_nm` has each band's centre, where they are public.
    package : str
        The Python package that ships the scene, if one does.
    archive, files : Archive or None, tuple of File
        How the files are named and where they come from.
    cube, labels, companion : facts
        What is in which file.
    classes : dict of int to str
        Names of the classes.
    unchecked : dict of str to str
        Which of these facts could not be checked on a real file, and why.
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
    archive: Archive | None = None
    files: tuple[File, ...] = ()
    cube: CubeFacts | None = None
    labels: dict[str, LabelFacts] = {}
    companion: CompanionFacts | None = None
    classes: dict[Positive, str]
    unchecked: dict[str, str] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = {file.name for file in self.files}
        parts = (self.cube, self.companion, *self.labels.values())
        missing = {part.file for part in parts if part is not None} - names
        numbers = {number for part in self.labels.values() for number in part.numbers.values()}
        problems = {
            f"no file {', '.join(missing)}": missing,
            "neither a cube nor a package": self.cube is None and not self.package,
            f"{len(self.wavelengths_nm)} wavelengths": len(self.wavelengths_nm) not in {0, self.bands},
            "wavelengths out of range_nm": self.wavelengths_nm
            and (min(self.wavelengths_nm), max(self.wavelengths_nm)) != self.range_nm,
            "numbers that are no class": numbers - set(self.classes),
            "two classes of one name": len(set(self.classes.values())) < len(self.classes),
            "pixels_of no map": {p.pixels_of for p in self.labels.values()} - set(self.labels) - {""},
            "unchecked that is no fact": set(self.unchecked) - set(type(self).model_fields),
        }
        if found := [problem for problem, there in problems.items() if there]:
            raise ValueError("; ".join(found))
        return self

    @property
    def class_colours(self) -> dict[int, str]:
        """Colour of each class as ``#rrggbb``."""
        return default_colours(self.classes)

    @property
    def official_split(self) -> bool:
        """Whether train and test maps come with the scene."""
        return {"train", "test"} <= set(self.labels)

    def facts(self) -> dict[str, Any]:
        """Return the entry as plain JSON values."""
        facts = self.model_dump(mode="json", exclude={"classes", "unchecked"})
        facts["classes"] = len(self.classes)
        facts["class_names"] = {str(number): name for number, name in self.classes.items()}
        facts["class_colours"] = {str(number): colour for number, colour in self.class_colours.items()}
        facts["official_split"] = self.official_split
        return {**facts, "checked": not self.unchecked, "unchecked": self.unchecked}

    def load(self) -> Scene:
        """Open the scene; `SceneError` says which files to put where, if they are not there."""
        from hsifeat.scenes.registry.load import load

        return load(self)


def read_facts() -> dict[str, PublicScene]:
    """Read the files of facts: scenes that need no download first, then by name."""
    found = []
    for file in files("hsifeat.scenes.registry").joinpath("scenes").iterdir():
        if file.name.endswith(".toml"):
            facts = tomllib.loads(file.read_text(encoding="utf-8"))
            found.append(PublicScene(name=file.name.removesuffix(".toml"), **facts))
    return {scene.name: scene for scene in sorted(found, key=lambda scene: (not scene.package, scene.name))}
