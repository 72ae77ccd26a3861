"""Files that this process is not allowed to read, even if the superuser runs the tests."""

import gc
import os
from contextlib import contextmanager


@contextmanager
def unreadable(*paths):
    """Take away the permission to read files, for a ``with`` block.

    The superuser may read every file, so a process of the superuser runs the block as another user. Import libraries before
    the block, because the other user may not be allowed to read them. Objects of earlier tests are finalised before the block,
    because the other user may not remove their files.
    """
    gc.collect()
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
