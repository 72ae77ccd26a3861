"""Tags of shards: the CRC-32C sums of a shard's index and inner chunks, which tell one unit's shard from another's.

A shard is a run of encoded inner chunks, followed by an index of their offsets and sizes. Each chunk and the index end with
their CRC-32C. These sums show that a chunk is intact, but not that it belongs to this unit: a botched copy may leave the shard
of another unit or timestep in its place. The progress record of a unit therefore holds the sums of the unit's own shard.
Whatever Zarr reads of a shard, its index, an inner chunk or the whole file, ends with one of these sums.
"""

from __future__ import annotations

import numpy as np

TAG_BYTES = 4
_ENTRY_BYTES = 16
_ABSENT = 2**64 - 1


def shard_tags(shard: bytes, chunks: int) -> tuple[bytes, ...] | None:
    """Return the tags of a shard: the CRC-32C of its index, then those of its inner chunks in the order of the index.

    Parameters
    ----------
    shard : bytes
        Content of the shard.
    chunks : int
        Number of inner chunks. An absent chunk has the tag 0.

    Returns
    -------
    tuple of bytes or None
        ``chunks + 1`` tags of four bytes, or None if the content is no shard with this number of chunks.
    """
    size = chunks * _ENTRY_BYTES + TAG_BYTES
    if chunks < 1 or len(shard) < size:
        return None
    entries = np.frombuffer(shard, "<u8", 2 * chunks, len(shard) - size).reshape(chunks, 2)
    tags = [shard[-TAG_BYTES:]]
    for offset, length in entries.tolist():
        if offset == length == _ABSENT:
            tags.append(bytes(TAG_BYTES))
        elif length < TAG_BYTES or offset + length > len(shard) - size:
            return None
        else:
            tags.append(shard[offset + length - TAG_BYTES : offset + length])
    return tuple(tags)


def split_tags(tags: bytes) -> tuple[bytes, ...]:
    """Split the tags in a progress record, in their order.

    >>> split_tags(b"aaaabbbb")
    (b'aaaa', b'bbbb')
    """
    return tuple(tags[start : start + TAG_BYTES] for start in range(0, len(tags), TAG_BYTES))
