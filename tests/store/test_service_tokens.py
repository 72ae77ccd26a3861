"""Tokens for the addresses of services."""

import pytest

from hsifeat.errors import StoreError
from hsifeat.store.service_tokens import find_token


def test_a_token_is_sent_to_its_origin_only(tmp_path, monkeypatch):
    file = tmp_path / "tokens.json"
    file.write_text('{"https://gpu.example.org": "mine"}')
    file.chmod(0o600)
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(file))
    monkeypatch.delenv("HSIFEAT_TOKEN", raising=False)
    assert find_token("https://gpu.example.org/stores/x.zarr") == "mine"
    for url in (
        "http://gpu.example.org/",
        "https://gpu.example.org:444/",
        "https://gpu.example.org.evil.org/",
        "https://evil.org/?https://gpu.example.org",
    ):
        assert find_token(url) is None
    file.chmod(0o644)
    with pytest.raises(
        StoreError, match=f"has the mode 644, so that other people can read its tokens: chmod 600 {file}"
    ):
        find_token("https://gpu.example.org/")
    file.chmod(0o600)
    file.write_text("[1]")
    with pytest.raises(StoreError, match="tokens.json: expected"):
        find_token("https://gpu.example.org/")


def test_the_environment_variable_serves_where_the_file_has_no_token(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(tmp_path / "absent.json"))
    monkeypatch.setenv("HSIFEAT_TOKEN", "from the environment")
    assert find_token("https://gpu.example.org/") == "from the environment"
