"""Backbones of installed packages: the documented example works as printed, and faulty entry points are refused."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hsifeat import open_backbone, open_features
from hsifeat.backbones import natural32
from hsifeat.backbones.open_backbone import list_backbones
from hsifeat.backbones.plugins import GROUP, BackbonePlugin, load_plugins
from hsifeat.errors import BackboneError, OutOfMemoryError
from tests.helpers.backbone_kinds import documented_code, install_lab, save_denoiser
from tests.helpers.small import small_cube


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The documented package installed, its weights and a scene in the working folder."""
    site = tmp_path / "site"
    site.mkdir()
    install_lab(site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    save_denoiser(tmp_path)
    np.save("scene.npy", small_cube(rows=40, cols=50))
    yield site
    sys.modules.pop("lab", None)


def enter(site, name, code, function="make"):
    """Register one more entry point, whose function is in `code`."""
    (site / f"{name}.py").write_text(code)
    file = site / "lab-1.0.dist-info" / "entry_points.txt"
    file.write_text(f"{file.read_text()}{name} = {name}:{function}\n")


@pytest.mark.usefixtures("lab")
def test_the_documented_code_runs_as_it_stands(capsys):
    network, usage, *_ = documented_code()
    assert len([line for line in network.splitlines() if line.strip()]) <= 30
    assert "diffusers" not in network + usage
    exec(usage, {})  # noqa: S102  # the code that the page tells people to run
    assert capsys.readouterr().out.strip() == "['enter', 'down', 'up', 'leave']"
    planes = open_features("own.zarr").planes
    assert [(plane.id.t, plane.id.layer, plane.stride, plane.channels) for plane in planes] == [
        (0, "up", 1, 16),
        (50, "up", 1, 16),
    ]
    # The oracle: the documented network itself, called as PyTorch calls it.
    namespace = {}
    exec(network, namespace)  # noqa: S102
    oracle = namespace["Denoiser"]()
    oracle.load_state_dict(torch.load("denoiser.pt", weights_only=True))
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    backbone = namespace["open_denoiser"]("denoiser.pt")
    with torch.no_grad():
        assert torch.equal(backbone.predict(image, 9), oracle(image, torch.tensor([9])))


@pytest.mark.usefixtures("lab")
def test_an_entry_point_opens_by_name_and_is_listed():
    backbone = open_backbone("denoiser:denoiser.pt")
    assert backbone.source == "denoiser:denoiser.pt"
    listed = {row["source"]: row for row in list_backbones()}["denoiser"]
    assert listed == {
        "source": "denoiser",
        "description": "The lab's denoiser, NAME:FILE with its weights",
        "weights": "package lab",
    }


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        pytest.param("denoiser:nowhere.pt", {}, "denoiser:nowhere.pt can't be opened: .*nowhere.pt", id="no-file"),
        pytest.param("denoiser:denoiser.pt", {"prompt": "maize"}, "denoiser:denoiser.pt takes no prompt; leave out 'maize'", id="prompt"),
        pytest.param("denoiser:denoiser.pt", {"class_label": 3}, "takes no class label; leave out 3", id="label"),
        pytest.param("denoiser:denoiser.pt", {"upsample": 4}, "takes no upsampling; leave out 4", id="upsample"),
        pytest.param("untrained:denoiser:denoiser.pt", {}, "takes no random weights; leave out untrained:", id="untrained"),
        pytest.param("broken", {}, "the backbone broken of package lab can't be loaded: No module named 'nowhere'", id="import"),
        pytest.param("plain", {}, "plain is a Linear, not a backbone: it lacks name, taps, .* Wrap a plain network into a ModuleBackbone", id="no-backbone"),
    ],
)  # fmt: skip
def test_a_faulty_entry_point_or_option_is_refused_in_one_line(lab, source, options, message):
    enter(lab, "broken", "import nowhere\n")
    enter(lab, "plain", "import torch\n\ndef make(text):\n    return torch.nn.Linear(2, 2)\n")
    with pytest.raises(BackboneError, match=message) as refusal:
        open_backbone(source, **options)
    assert "\n" not in str(refusal.value)
    assert {"broken": "can't be loaded: No module named 'nowhere'", "plain": "no description"}.items() <= {
        row["source"]: row["description"] for row in list_backbones()
    }.items()
    enter(lab, "hungry", "def make(text):\n    raise MemoryError\n")
    with pytest.raises(OutOfMemoryError, match="memory ran out"):
        open_backbone("hungry")
    for name in ("broken", "plain", "hungry"):
        sys.modules.pop(name, None)


def test_an_entry_point_gets_the_options_that_it_has_parameters_for(lab):
    code = "from lab import open_denoiser\n\ndef make(text, *, untrained_seed=None, class_label=None):\n"
    code += "    backbone = open_denoiser('denoiser.pt')\n    backbone.options = text, untrained_seed, class_label\n    return backbone\n"
    enter(lab, "probe", code)
    assert open_backbone("probe").options == ("", None, None)
    assert open_backbone("untrained:probe:a:b", seed=5, class_label="7").options == ("a:b", 5, 7)
    assert open_backbone("untrained:probe").source == "untrained:probe"
    sys.modules.pop("probe", None)


def test_opening_by_name_imports_no_other_entry_point(lab):
    enter(lab, "bystander", "def make(text):\n    return None\n")
    open_backbone("denoiser:denoiser.pt")
    assert "bystander" not in sys.modules


def test_a_plugin_may_recognise_its_sources(lab, tmp_path):
    code = """from hsifeat.backbones.plugins import BackbonePlugin
from lab import open_denoiser

PLUGIN = BackbonePlugin(
    open=open_denoiser, form="FILE.lab", description="a file of the lab", weights="the lab",
    matches=lambda source: source.endswith(".lab"), order=5,
)
"""
    enter(lab, "labfile", code, "PLUGIN")
    (tmp_path / "denoiser.pt").rename(tmp_path / "denoiser.lab")
    backbone = open_backbone("denoiser.lab")
    assert (backbone.name, backbone.source) == ("denoiser", "denoiser.lab")
    assert list_backbones()[0] == {"source": "FILE.lab", "description": "a file of the lab", "weights": "the lab"}
    sys.modules.pop("labfile", None)


def test_a_name_is_no_folder_and_a_model_of_this_name_is_refused(tmp_path, monkeypatch, backbone_folder):
    package = Path(natural32.__file__).parent
    monkeypatch.chdir(tmp_path)
    Path("natural32").mkdir()
    assert open_backbone("natural32").identity() == open_backbone(package).identity()
    wanted, found = (open_backbone(f"untrained:{name}", seed=3).identity() for name in (package, "natural32"))
    assert found == wanted
    with pytest.raises(BackboneError, match=r"natural32 is not a diffusers model folder: it has no config.json"):
        open_backbone("./natural32")
    shutil.copytree(backbone_folder, "natural32", dirs_exist_ok=True)
    for name in ("natural32", "untrained:natural32"):
        with pytest.raises(
            BackboneError, match=r"package hsifeat, and a model folder here: name the folder \./natural32,"
        ):
            open_backbone(name)
    with os.scandir(tmp_path) as entries:
        entry = next(entry for entry in entries if entry.name == "natural32")
    for folder in ("./natural32", Path("natural32"), tmp_path / "natural32", entry):
        assert open_backbone(folder).identity() == open_backbone(backbone_folder).identity()


def test_the_built_in_kinds_are_entry_points_too():
    from importlib.metadata import entry_points

    own = {entry.name for entry in entry_points(group=GROUP) if entry.module.startswith("hsifeat.")}
    assert own == {
        "adm",
        "context",
        "encoder-folder",
        "hub",
        "latent",
        "natural32",
        "unet2d-file",
        "unet2d-folder",
        "untrained",
    }
    plugins = load_plugins()
    assert all(isinstance(entry.load(), BackbonePlugin) for entry in entry_points(group=GROUP) if entry.name in own)
    assert [plugins[name].order for name in plugins] == sorted(plugin.order for plugin in plugins.values())
