"""Calls of functions with arguments of wrong types."""

import inspect
from contextlib import suppress

import numpy as np
import pandas as pd
import xarray as xr

import hsifeat
from hsifeat import HsifeatError

WRONG = {
    "an object": object(),
    "None": None,
    "an int": 5,
    "a NumPy int": np.int64(5),
    "a negative int": -1,
    "a float": 2.5,
    "NaN": float("nan"),
    "a bool": True,
    "a text": "nonsense",
    "a null character": "a\0b",
    "bytes": b"x",
    "a list": ["nonsense"],
    "a tuple": (),
    "a dict": {"a": 1},
    "an array": np.arange(3),
}


class WorkBegins(Exception):  # noqa: N818  # it is no error
    """All arguments are accepted."""


def stop_at_work(event):
    if isinstance(event, hsifeat.Started):
        raise WorkBegins


def bare_errors(function, make_arguments, *, skip=()):
    """Call a function with wrong values of each parameter, and return what raised an error that is no `HsifeatError`.

    `make_arguments` returns arguments that the function accepts. The parameters in `skip` are left out.
    """
    parameters = inspect.signature(function).parameters
    listener = {"listen": stop_at_work} if "listen" in parameters else {}
    with suppress(WorkBegins):
        function(**listener | make_arguments())
    bare = {}
    for parameter, described in parameters.items():
        if described.kind in {described.VAR_KEYWORD, described.VAR_POSITIONAL} or parameter in skip:
            continue
        for kind, value in WRONG.items():
            if value is described.default:  # as in the call above
                continue
            try:
                function(**listener | make_arguments() | {parameter: value})
            except (HsifeatError, WorkBegins):
                pass
            except Exception as error:  # noqa: BLE001  # the test is about these
                bare[f"{parameter}: {kind}"] = repr(error)
    return bare


def accepted_masks(function, make_arguments):
    """Return the names of the parameters that take a masked array without an error, although masked values are no data."""
    accepted = []
    for parameter, value in make_arguments().items():
        if isinstance(value, np.ndarray):
            mask = np.zeros(value.shape, bool)
            mask.flat[0] = True
            with suppress(HsifeatError, WorkBegins):
                function(**make_arguments() | {parameter: np.ma.masked_array(value, mask)})
                accepted.append(parameter)
    return accepted


def array_parameters(make_arguments):
    """Return the names of the parameters that get an array of numbers of two or more axes."""
    return [name for name, value in make_arguments().items() if isinstance(value, np.ndarray) and value.ndim > 1]


def accepted_labelled_arrays(function, make_arguments):
    """Return the names of the parameters that take their array as an `xarray.DataArray` or a `pandas.DataFrame`, too."""
    accepted = set()
    for parameter in array_parameters(make_arguments):
        value = make_arguments()[parameter]
        labelled = [reversed_array(value)]
        if value.ndim == 2:
            labelled.append(pd.DataFrame(value))
        for array in labelled:
            with suppress(HsifeatError, WorkBegins):
                function(**make_arguments() | {parameter: array})
                accepted.add(parameter)
    return accepted


def reversed_array(values):
    """Return an array whose first axis has coordinates that fall, so that the row of coordinate 0 is the last one."""
    dims = ["y", "x", "band"][: values.ndim]
    sizes = dict(zip(dims, values.shape, strict=True))
    coordinates = {dim: np.arange(size) for dim, size in sizes.items()}
    return xr.DataArray(values, dims=dims, coords=coordinates | {"y": coordinates["y"][::-1]})
