"""A store read by `docs/developer/store-format.md` alone: zarr, json and hashlib, nothing of hsifeat."""

import hashlib
import json
from itertools import product

import numpy as np
import pytest
import zarr


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def group(store_path):
    return zarr.open_group(store_path, mode="r")


@pytest.fixture(scope="module")
def manifest(group):
    return group.attrs["hsifeat"]


@pytest.fixture(scope="module")
def planes(group):
    """Each plane by its path below ``planes``."""
    return {f"{t}/{layer}": plane for t, below in group["planes"].groups() for layer, plane in below.arrays()}


def test_key_is_the_digest_of_the_recipe(manifest):
    assert manifest["schema_version"] == 1
    text = json.dumps(manifest["recipe"], sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    assert sha256(text.encode()) == manifest["key"]
    fields = {"algorithm", "scene", "projection", "backbone", "tiling", "noise", "precision"}
    assert fields == set(manifest["recipe"])


def test_digests_of_the_recipe_follow_from_the_arrays(group, manifest):
    cube, valid = group["scene/cube"][:], group["scene/valid"][:]
    little = cube.astype(cube.dtype.newbyteorder("<"))
    head = f"{','.join(map(str, cube.shape))},{little.dtype.newbyteorder('<').str};".encode()
    assert sha256(head + little.tobytes() + np.packbits(valid).tobytes()) == manifest["recipe"]["scene"]

    weights, offset = (group[f"scene/projection/{name}"][:].astype("<f4") for name in ("weights", "offset"))
    digests = {
        sha256(f"{weights.shape[0]},{weights.shape[1]},{clip};".encode() + weights.tobytes() + offset.tobytes())
        for clip in (True, False)
    }
    assert manifest["recipe"]["projection"]["digest"] in digests


def test_planes_have_the_shapes_and_names_that_the_layout_says(group, manifest, planes):
    rows, cols, unit = (manifest["layout"][name] for name in ("rows", "cols", "unit_px"))
    assert manifest["layout"]["kind"] == "scene"
    assert (rows, cols) == group["scene/cube"].shape[:2]
    assert len(planes) > 2
    for path, plane in planes.items():
        stride, layer = plane.attrs["stride"], plane.attrs["layer"]
        assert path == f"t{plane.attrs['t']:04d}/{layer}"
        assert plane.shape[:2] == (-(-rows // stride), -(-cols // stride))
        assert plane.shards == (unit // stride, unit // stride, plane.shape[2])
        assert plane.metadata.dimension_names == (f"y_s{stride}", f"x_s{stride}", f"channel_{layer}")
        assert plane.dtype == np.float16
        assert np.isnan(plane.fill_value)
        assert np.isfinite(plane[:]).all()


def chunks_per_shard(plane):
    return int(np.prod(np.divide(plane.shards, plane.chunks)))


def test_chunks_and_codecs_are_the_specified_ones(group, store_path):
    paths = [file.parent.relative_to(store_path).as_posix() for file in store_path.rglob("zarr.json")]
    arrays = {path: group[path] for path in paths if path != "." and isinstance(group[path], zarr.Array)}
    assert {"scene/cube", "scene/valid", "scene/labels/fields", "scene/projection/offset"} < arrays.keys()
    for path, array in arrays.items():
        codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
        if path == "scene/cube" or path.startswith("planes/"):
            inner = [codec["name"] for codec in array.metadata.to_dict()["codecs"][0]["configuration"]["codecs"]]
            assert codecs == ["sharding_indexed"] and inner == ["bytes", "blosc", "crc32c"]
            side = array.shards[0]
            assert array.chunks == (*[32 if side % 32 == 0 else side] * 2, array.shape[2])
        elif path.startswith("progress/"):
            assert codecs == ["bytes"] and array.chunks == (
                1,
                1,
                36 + 4 * chunks_per_shard(group[path.replace("progress", "planes")]),
            )
        else:
            assert codecs == ["bytes", "blosc", "crc32c"]
            assert array.chunks == tuple(min(size, {1: 2**20, 2: 1024}[array.ndim]) for size in array.shape)


def test_records_are_the_digests_of_the_units(group, manifest, planes, store_path):
    unit = manifest["layout"]["unit_px"]
    for path, plane in planes.items():
        records, values, side = group[f"progress/{path}"][:], plane[:], unit // plane.attrs["stride"]
        for i, j in product(*map(range, records.shape[:2])):
            cells = np.ascontiguousarray(values[i * side : (i + 1) * side, j * side : (j + 1) * side])
            assert records[i, j, :32].tobytes() == hashlib.sha256(cells.tobytes()).digest()
            # The last 4 bytes of the index, and of each inner chunk.
            shard, count = (store_path / f"planes/{path}/c/{i}/{j}/0").read_bytes(), chunks_per_shard(plane)
            index = np.frombuffer(shard[-16 * count - 4 : -4], "<u8").reshape(count, 2)
            ends = [bytes(4) if size == 2**64 - 1 else shard[int(at + size) - 4 : int(at + size)] for at, size in index]
            assert records[i, j, 32:].tobytes() == shard[-4:] + b"".join(ends)


def test_checksums_list_every_file(store_path, group, planes):
    content = (store_path / "checksums.json").read_bytes()
    files = json.loads(content)["files"]
    checksum = sha256(json.dumps(files, sort_keys=True, indent=0).encode())
    assert content == json.dumps({"files": files, "checksum": checksum}, indent=0).encode()
    for name in ("zarr", "checksums"):
        assert (store_path / f"{name}.copy.json").read_bytes() == (store_path / f"{name}.json").read_bytes()

    complete = {f"progress/{path}/c" for path in planes}
    for key, expected in files.items():
        if key in complete:
            assert sha256(group[key.removesuffix("/c")][:].tobytes()) == expected
        else:
            assert sha256((store_path / key).read_bytes()) == expected
    on_disk = {file.relative_to(store_path).as_posix() for file in store_path.rglob("*") if file.is_file()}
    unlisted = {"checksums.json", "checksums.copy.json", "zarr.copy.json", "timings.json"}
    chunks = {key for key in on_disk if key.startswith(("planes/", "progress/")) and "/c/" in key}
    assert on_disk - unlisted - chunks == set(files) - complete


def test_label_maps_name_their_classes(group):
    labels = group["scene/labels/fields"]
    assert labels.attrs["class_names"]["1"] == "corn"
    assert labels.attrs["class_colours"]["1"].startswith("#")
    assert labels.shape == group["scene/cube"].shape[:2]


def test_timings_have_their_own_checksum(store_path):
    content = (store_path / "timings.json").read_bytes()
    rows = json.loads(content)["timings"]
    document = {"timings": rows, "checksum": sha256(json.dumps(rows, sort_keys=True).encode())}
    assert content == json.dumps(document, indent=0).encode()
