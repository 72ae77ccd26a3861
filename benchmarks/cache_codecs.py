"""Measure codecs on real planes in the layout of a store: size, writing speed, reading speed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_bench import Bench, digits, file_bytes, indian_pines, interleaved, save_cifar
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hsifeat.store.store import Store

_KEPT_BITS = 7


@dataclass(frozen=True)
class Codec:
    """Codecs that encode inner chunks, without the checksum that follows each chunk.

    Attributes
    ----------
    compressors : list
        Bytes-to-bytes codecs of Zarr.
    filters : list
        Array-to-array codecs of Zarr.
    serializer : object
        Array-to-bytes codec of Zarr.
    in_spec : bool
        Whether the Zarr version 3 specification contains all codecs, so that any reader supports them.
    lossy : bool
        Whether decoded values differ from the original values.
    channels_first : bool
        Whether the array is stored as (channels, rows, cols), so that neighbouring cells of a channel are adjacent. The
        array is transposed in NumPy, because the pcodec of numcodecs does not accept the output of Zarr's transpose codec.
    """

    compressors: list[Any] = field(default_factory=list)
    filters: list[Any] = field(default_factory=list)
    serializer: Any = "auto"
    in_spec: bool = True
    lossy: bool = False
    channels_first: bool = False

    def axes(self, cells: tuple[Any, ...]) -> tuple[Any, ...]:
        """Permute a tuple (rows, cols, channels) to the axis order of the stored array."""
        return (cells[2], *cells[:2]) if self.channels_first else cells


@dataclass(frozen=True)
class Block:
    """A plane in memory, with the shard and chunk shapes of its store."""

    values: NDArray[np.float16]
    shards: tuple[int, ...]
    chunks: tuple[int, ...]


def measure(bench: Bench) -> dict[str, Any]:
    """Measure all codecs on planes of two networks: a network that was trained on the scene, and a network for natural images."""
    sources = {
        "mtmsd small, trained on Indian Pines": _trained(bench),
        "ddpm-cifar10-32's network, random weights": _random(bench),
    }
    repetitions = bench.repetitions(5)
    return {
        "what": "one shard a unit of 128 px, inner chunks of 32 x 32 cells and all channels, crc32c last; warm page cache",
        "store_has": [str(c) for c in next(iter(sources.values())).plane_codecs],
        "repetitions": repetitions,
        "units": {"ratio": "raw float16 bytes over file bytes", "mb_s": "MB of raw float16 values a second"},
        "planes": {
            name: {"raw_bytes": sum(b.values.nbytes for b in source.blocks), **_rows(bench, source.blocks, repetitions)}
            for name, source in sources.items()
        },
    }


def codecs() -> dict[str, Codec]:
    """Return a dict that maps names to the codecs that are compared."""
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
    from zarr.codecs.numcodecs import BitRound, PCodec

    def blosc(cname: str, level: int, shuffle: str) -> list[Any]:
        return [BloscCodec(cname=cname, clevel=level, shuffle=shuffle)]

    return {
        "none": Codec(),
        **{f"zstd {level}": Codec([ZstdCodec(level=level)]) for level in (1, 3, 9)},
        **{f"blosc-zstd {level} bitshuffle": Codec(blosc("zstd", level, "bitshuffle")) for level in (1, 3, 5)},
        "blosc-zstd 1 shuffle": Codec(blosc("zstd", 1, "shuffle")),
        "blosc-lz4 1 bitshuffle": Codec(blosc("lz4", 1, "bitshuffle")),
        "gzip 1": Codec([GzipCodec(level=1)]),
        "channels first, blosc-zstd 1 bitshuffle": Codec(blosc("zstd", 1, "bitshuffle"), channels_first=True),
        "channels first, blosc-zstd 1 shuffle": Codec(blosc("zstd", 1, "shuffle"), channels_first=True),
        "pcodec 8": Codec(serializer=PCodec(level=8), in_spec=False),
        "channels first, pcodec 8": Codec(serializer=PCodec(level=8), in_spec=False, channels_first=True),
        f"bitround {_KEPT_BITS} of 10, blosc-zstd 1 bitshuffle": Codec(
            blosc("zstd", 1, "bitshuffle"), [BitRound(keepbits=_KEPT_BITS)], in_spec=False, lossy=True
        ),
    }


@dataclass(frozen=True)
class _Source:
    """Planes of an extraction in memory, and the codecs of their store."""

    blocks: list[Block]
    plane_codecs: Sequence[object]


def _trained(bench: Bench) -> _Source:
    from hsifeat.extraction.extract import extract
    from hsifeat.pretraining.pretrain import pretrain

    scene = indian_pines()
    folder = pretrain(scene, out=bench.folder / "mtmsd", steps=10 if bench.quick else 300)
    return _blocks(extract(scene, backbone=folder, timesteps=(50, 200), out=bench.folder / "mtmsd.zarr"))


def _random(bench: Bench) -> _Source:
    from hsifeat.extraction.extract import extract

    folder = bench.folder / "cifar-codecs"
    save_cifar(folder, quick=bench.quick)
    out = bench.folder / "cifar-codecs.zarr"
    return _blocks(extract(indian_pines(), backbone=folder, timesteps=(50,), tile=32, halo=0, out=out))


def _blocks(store: Store) -> _Source:
    arrays = [store.plane(plane.id) for plane in store.planes]
    blocks = [Block(np.asarray(a[:]), a.shards or a.chunks, a.chunks) for a in arrays]
    return _Source(blocks, arrays[0].compressors)


def _rows(bench: Bench, blocks: list[Block], repetitions: int) -> dict[str, Any]:
    """Measure compression ratio, speed and accuracy of every codec on the planes."""
    raw = sum(block.values.nbytes for block in blocks)
    with _quiet():
        compared = codecs()
        folders = {name: bench.folder / f"codec-{i}" for i, name in enumerate(compared)}
        writing = interleaved(repetitions, {n: _writer(blocks, c, folders[n]) for n, c in compared.items()})
        reading = interleaved(repetitions, {n: _reader(len(blocks), c, folders[n]) for n, c in compared.items()})
        rows = {
            name: {
                "ratio": digits(raw / file_bytes(folders[name])),
                "write_mb_s": digits(raw / 1e6 / median(writing[name])),
                "read_mb_s": digits(raw / 1e6 / median(reading[name])),
                "in_spec": codec.in_spec,
                **_fidelity(blocks, _reader(len(blocks), codec, folders[name])(), lossy=codec.lossy),
            }
            for name, codec in compared.items()
        }
    for folder in folders.values():
        shutil.rmtree(folder)
    return {"codecs": rows}


def _writer(blocks: list[Block], codec: Codec, folder: Path) -> Callable[[], None]:
    import zarr
    from zarr.codecs import Crc32cCodec

    def write() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for i, block in enumerate(blocks):
            array = zarr.create_array(
                folder / str(i),
                shape=codec.axes(block.values.shape),
                shards=codec.axes(block.shards),
                chunks=codec.axes(block.chunks),
                dtype=block.values.dtype,
                filters=codec.filters,
                serializer=codec.serializer,
                compressors=[*codec.compressors, Crc32cCodec()],
                fill_value=float("nan"),
            )
            for row in range(0, block.values.shape[0], block.shards[0]):
                for col in range(0, block.values.shape[1], block.shards[1]):
                    unit = slice(row, row + block.shards[0]), slice(col, col + block.shards[1]), slice(None)
                    array[codec.axes(unit)] = np.ascontiguousarray(block.values[unit].transpose(codec.axes((0, 1, 2))))

    return write


def _reader(planes: int, codec: Codec, folder: Path) -> Callable[[], list[NDArray[np.float16]]]:
    import zarr

    back = (1, 2, 0) if codec.channels_first else (0, 1, 2)
    paths = [folder / str(i) for i in range(planes)]
    return lambda: [np.ascontiguousarray(zarr.open_array(path, mode="r")[:].transpose(back)) for path in paths]


def _fidelity(blocks: list[Block], back: list[NDArray[np.float16]], *, lossy: bool) -> dict[str, Any]:
    """Compare decoded values with the original values, and return the relative errors of a lossy codec."""
    equal = all(np.array_equal(b.values.view(np.uint16), a.view(np.uint16)) for b, a in zip(blocks, back, strict=True))
    if equal != (not lossy):
        raise AssertionError("a lossless codec changed values, or a lossy one none")
    if not lossy:
        return {"lossy": False}
    original = np.concatenate([block.values.ravel() for block in blocks]).astype(np.float64)
    error = np.abs(np.concatenate([values.ravel() for values in back]).astype(np.float64) - original)
    # Subnormal float16 numbers have fewer significant bits, and are excluded.
    normal = np.abs(original) >= np.finfo(np.float16).smallest_normal
    return {
        "lossy": True,
        "max_relative_error": digits(float((error[normal] / np.abs(original[normal])).max())),
        "rms_relative_error": digits(float(np.sqrt((error**2).mean() / (original**2).mean()))),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings about codecs outside the Zarr specification; the result lists these codecs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3 specification")
        yield
