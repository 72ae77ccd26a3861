"""Seals: every damage of a file, and every exchange of two files, is detected; files stay readable by other programs."""

import hashlib
import json

import numpy as np
import pytest
import torch

from hsifeat.seals import SealError, check_seal, has_seal, open_json, seal_file, seal_json


def test_the_seal_is_a_sha256_of_name_and_content(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"content")
    seal_file(file, "a.bin")
    digest = hashlib.sha256(b"a.bin\0content").hexdigest()
    assert file.read_bytes() == b"content\nhsifeat seal " + digest.encode() + b"\n"
    check_seal(file, "a.bin")


def test_each_flipped_byte_each_truncation_and_each_added_byte_is_detected(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(range(40)))
    seal_file(file, "a.bin")
    whole = file.read_bytes()
    damaged = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole))]
    for content in [*damaged, *(whole[:size] for size in range(len(whole))), whole + b"\n", whole * 2, whole[1:]]:
        file.write_bytes(content)
        with pytest.raises(SealError, match=r"a\.bin is damaged, or is another file under this name: copy it again"):
            check_seal(file, "a.bin", advice="copy it again")


def test_two_exchanged_files_are_detected(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        seal_file(tmp_path / name, name)
    (tmp_path / "b").rename(tmp_path / "a")
    with pytest.raises(SealError, match="another file under this name"):
        check_seal(tmp_path / "a", "a")
    with pytest.raises(SealError, match=r"b can't be read \(No such file or directory\)"):
        check_seal(tmp_path / "b", "b")


def test_numpy_and_torch_read_sealed_files(tmp_path):
    values, tensor = np.arange(6).reshape(2, 3), torch.arange(6.0)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", values=values)
    torch.save({"tensor": tensor}, tmp_path / "a.pt")
    for file in tmp_path.iterdir():
        assert not has_seal(file)
        seal_file(file, file.name)
        assert has_seal(file)
    for mode in (None, "r"):
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode=mode), values)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["values"], values)
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["tensor"], tensor)


CONTENT = {"b": [1, 2.5, None], "a": {"x": "ü", 3: True, 12: 1e-300}}


def test_a_sealed_json_object_is_read_back(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(seal_json(CONTENT, "a.json"))
    assert [*json.loads(file.read_text())] == ["b", "a", "seal"]
    assert open_json(file, "a.json") == json.loads(json.dumps(CONTENT))
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert open_json(file, "a.json") == json.loads(json.dumps(CONTENT)), "spaces do not matter"
    with pytest.raises(SealError, match="damaged or was edited"):
        open_json(file, "b.json")


def test_each_changed_character_of_a_json_object_is_detected_or_harmless(tmp_path):
    file = tmp_path / "a.json"
    whole = seal_json(CONTENT, "a.json", indent=None).encode()
    detected = 0
    for at in range(len(whole)):
        for bit in (1, 16):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            try:
                assert open_json(file, "a.json") == json.loads(json.dumps(CONTENT))
            except SealError:
                detected += 1
    assert detected > 1.9 * len(whole)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"seal": 3}'])
def test_other_content_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SealError, match=": fit it again$") as refused:
        open_json(tmp_path / "a.json", "a.json", advice="fit it again")
    assert "\n" not in str(refused.value)


def test_an_object_without_a_seal_is_read_only_where_it_is_allowed(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert open_json(tmp_path / "a.json", "a.json", required=False) == {"a": 1}
    with pytest.raises(SealError, match="damaged or was edited"):
        open_json(tmp_path / "a.json", "a.json")
