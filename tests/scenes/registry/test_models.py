"""Descriptions of public scenes are complete and consistent."""

import json
import re

import pytest

from hsifeat.scenes.registry import REGISTRY, PublicScene

WANTED = [
    "indian-pines", "pavia-university", "pavia-centre", "salinas", "salinas-a", "ksc", "botswana", "houston-2013",
    "houston-2018", "augsburg", "berlin", "trento", "muufl", "whu-hi-longkou", "whu-hi-hanchuan", "whu-hi-honghu",
]  # fmt: skip
SPLITS = {"indian-pines", "pavia-university", "houston-2013", "augsburg", "berlin"}


def test_the_registry_has_the_common_benchmark_scenes():
    assert set(REGISTRY) == set(WANTED)
    assert {name for name, scene in REGISTRY.items() if scene.official_split} == SPLITS


@pytest.mark.parametrize("name", WANTED)
def test_descriptions_are_consistent(name):
    description = REGISTRY[name].summary()
    assert json.loads(json.dumps(description)) == description
    colours = list(description["class_colours"].values())
    assert (
        description["classes"]
        == len(description["class_names"])
        == len(set(description["class_names"].values()))
        == len(set(colours))
    )
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert "#000000" not in colours, "pixels without a class are black"
    assert len(description["wavelengths_nm"]) in {0, description["bands"]}
    assert description["range_nm"][0] < description["range_nm"][1] and description["gsd_m"] > 0
    assert (
        description["licence"]
        and description["citation"]
        and "http" in description["source"] + "http" * (name == "indian-pines")
    )
    assert description["checked"] is (name == "indian-pines") and all(
        len(why) > 20 for why in description["unchecked"].values()
    )
    for address in [file["url"] for file in description["files"]] + [(description["archive"] or {"url": ""})["url"]]:
        assert address == "" or re.match("https?://[a-z]", address)


BROKEN = [
    pytest.param({"wavelengths_nm": [1.0, 2.0]}, "2 wavelengths", id="wavelengths"),
    pytest.param({"cube": {"file": "other.mat"}}, r"no file other\.mat", id="file"),
    pytest.param({"classes": {1: "a", 2: "a"}}, "two classes with one name", id="names"),
    pytest.param({"classes": {0: "a"}}, "greater than 0", id="class-0"),
    pytest.param({"unchecked": {"colour": "no idea"}}, "unchecked names an unknown field", id="unchecked"),
    pytest.param({"files": [{"name": "a.mat", "sha256": "abc"}]}, "pattern", id="sum"),
    pytest.param({"licence": None}, "licence", id="licence"),
    pytest.param({"seen": True}, "not permitted", id="extra"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_invalid_descriptions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PublicScene(**{**REGISTRY["salinas-a"].model_dump(), **change})
