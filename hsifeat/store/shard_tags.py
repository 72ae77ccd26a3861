"""Tags of shards. The tags of a shard are the CRC-32C sums of its index and of its inner chunks.

A shard has encoded inner chunks, and at its end an index of their offsets and sizes. Each chunk ends with its CRC-32C, and
the index ends with its own CRC-32C. The CRC-32C of a chunk shows that the chunk is intact. It does not show that the chunk
belongs to the right unit: a user may have copied a shard to the place of another shard. To detect this, the progress record
of a unit has the tags of its shard. Zarr reads the index, an inner chunk or the whole file. In all three cases, the bytes
end with a tag, which can be compared with the record.
"""

from __future__ import annotations

import numpy as np

TAG_BYTES = 4
_ENTRY_BYTES = 16
_ABSENT = 2**64 - 1


def shard_tags(shard: bytes, chunks: int) -> tuple[bytes, ...] | None:
    """Return the tags of a shard.

    The first tag is the CRC-32C of the index. The CRC-32C of each inner chunk follows, in the order of the index.

    Parameters
    ----------
    shard : bytes
        Content of the shard.
    chunks : int
        Number of inner chunks. An absent chunk has the tag 0.

    Returns
    -------
    tuple of bytes or None
        ``chunks + 1`` tags of four bytes, or None if the content is not a shard with this number of chunks.
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
    """Split the concatenated tags of a progress record into single tags of four bytes.

    >>> split_tags(b"aaaabbbb")
    (b'aaaa', b'bbbb')
    """
    return tuple(tags[start : start + TAG_BYTES] for start in range(0, len(tags), TAG_BYTES))
