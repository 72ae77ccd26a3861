"""File readers, one module per format, found through the entry-point group ``hsifeat.readers``.

A reader is a function ``read(path, ndim, variable) -> Raster``, as described by `Reader`. It is registered under the suffix
of the files that it reads. Built-in readers and readers of other packages are registered in the same way. All readers must
pass the tests in ``tests/scenes/readers/test_conformance.py``.
"""

from hsifeat.scenes.readers.dispatch import read_raster
from hsifeat.scenes.readers.raster import FileVariable, Raster, Reader

__all__ = ["FileVariable", "Raster", "Reader", "read_raster"]
