"""Files that the operating system denies to the process, also if the superuser runs the tests."""

import os
from contextlib import contextmanager


@contextmanager
def unreadable(*paths):
    """Take away the permission to read files.

    The superuser may read every file, and becomes another user meanwhile. Libraries must be imported before, because the other
    user may not read them.
    """
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0)
    if superuser := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
