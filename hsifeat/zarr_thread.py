"""The thread in which Zarr reads and writes files."""

from __future__ import annotations

from hsifeat.errors import raise_resource_error


def start_zarr_thread() -> None:
    """Start the thread in which Zarr reads and writes files. If the thread already runs, do nothing.

    Call this function before Zarr starts the thread. If a start by Zarr fails, Zarr waits for the thread for ever.

    Raises
    ------
    OutOfMemoryError
        If the thread can't start.

    Examples
    --------
    >>> start_zarr_thread()
    """
    from zarr.core import sync

    try:
        sync._get_loop()  # noqa: SLF001  # Zarr has no public function for it
    except (RuntimeError, MemoryError) as error:
        failed, sync.loop[0], sync.iothread[0] = sync.loop[0], None, None
        if failed is not None:
            failed.close()
        raise_resource_error(error)
        raise
