"""File readers, one module per format, found through the entry-point group ``hsifeat.readers``.

A reader is a function ``read(path, ndim, variable) -> Raster`` that obeys the contract of `Reader`. Built-in readers and
readers of other packages are registered in the same way, under the file suffix that they read. All readers pass the
conformance suite ``tests/scenes/readers/test_conformance.py``.
"""

from hsifeat.scenes.readers.dispatch import read_raster
from hsifeat.scenes.readers.raster import FileVariable, Raster, Reader

__all__ = ["FileVariable", "Raster", "Reader", "read_raster"]
