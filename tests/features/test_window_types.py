"""Windows of NumPy integers."""

import numpy as np
import pytest

from hsifeat.types import Window


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_windows_of_small_numpy_integers_do_not_overflow(dtype):
    """The slice of the rows was 100 to -56 for int8."""
    window = Window(*np.array([100, 90, 100, 60], dtype))
    assert window == Window(100, 90, 100, 60)
    assert window.slices == (slice(100, 200), slice(90, 150))
    assert window.coarsen(8) == Window(12, 11, 13, 8)
