"""File readers, one module per format, found through the entry-point group ``hsifeat.readers``.

A reader is a function ``read(path, ndim, variable) -> Raster``; see `Reader` for its contract. Built-in readers and those
of other packages are registered in the same way, under the file suffix that they read, and pass one conformance suite,
``tests/scenes/readers/test_conformance.py``.
"""

from hsifeat.scenes.readers.dispatch import read_raster
from hsifeat.scenes.readers.raster import FileVariable, Raster, Reader

__all__ = ["FileVariable", "Raster", "Reader", "read_raster"]
