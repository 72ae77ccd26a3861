"""Results that hundreds of tests need and each process computes once: entry points, layers of U-Nets, loaded weights, and a plot."""

import copy
import hashlib
import importlib.metadata
import json
import os
import sys
from functools import cache, cached_property
from pathlib import Path

import pytest


def remember_entry_points():
    """Make `importlib.metadata.entry_points` cache its results.

    The installed packages are scanned again only if a folder of ``sys.path`` that contains packages has changed. Call this
    function before any module imports `importlib.metadata.entry_points`.
    """
    plain = importlib.metadata.entry_points

    @cache
    def scan(_folders):
        return plain()

    @cache
    def select(folders, parameters):
        return scan(folders).select(**dict(parameters))

    @cache
    def may_have_packages(folder, changed_at):
        return changed_at is None or any(Path(folder).glob("*-info"))

    def changed(folder):
        try:
            return Path(folder).stat().st_mtime_ns
        except OSError:
            return None

    def entry_points(**parameters):
        folders = [(folder, changed(folder)) for folder in map(os.path.abspath, sys.path)]
        return select(tuple(folder for folder in folders if may_have_packages(*folder)), tuple(parameters.items()))

    importlib.metadata.entry_points = entry_points


def remember_taps():
    """Make backbones cache their lists of layers. Backbones with the same architecture share one list."""
    from hsifeat.backbones.adm.adm_backbone import ADMBackbone
    from hsifeat.backbones.latent.latent_backbone import LatentBackbone
    from hsifeat.backbones.network import NetworkBackbone
    from hsifeat.backbones.unet2d import UNet2DBackbone

    plain, lists = NetworkBackbone.__dict__["taps"].func, {}

    def taps(self):
        key = describe(self)
        if key is None:
            return plain(self)
        key = json.dumps(key, sort_keys=True, default=str)
        if key not in lists:
            lists[key] = plain(self)
        return list(lists[key])

    def describe(backbone):
        if type(backbone) is UNet2DBackbone and backbone._type.__module__.partition(".")[0] == "diffusers":
            return [backbone._type.__name__, backbone._settings, backbone.class_label is None]
        if type(backbone) is ADMBackbone:
            return ["ADM", repr(backbone._architecture), repr(backbone._heads), backbone.class_label is None]
        if type(backbone) is LatentBackbone:
            parts = backbone._denoiser.architecture, backbone._encoder.architecture, backbone._prompt.identity()
            return ["latent", *parts, backbone._upsample]
        return None

    for kind in (UNet2DBackbone, ADMBackbone, LatentBackbone):
        kind.taps = cached_property(taps)
        kind.taps.__set_name__(kind, "taps")


def remember_weights():
    """Make the loading of weights cache the networks. Loading the same weights again returns a copy of the cached network."""
    from hsifeat.backbones.weight_files import WeightFiles

    plain, networks = WeightFiles.load, {}

    def load(self, network_class, config_file, **options):
        contents = [hashlib.sha256(file.read_bytes()).digest() for file in (config_file, *self.files)]
        key = (network_class, network_class.from_pretrained, self.suffix, self.index, *contents, repr(options))
        if key in networks:
            return copy.deepcopy(networks[key])
        network = plain(self, network_class, config_file, **options)
        networks[key] = copy.deepcopy(network)
        return network

    WeightFiles.load = load


@cache
def _plot_of_reports():
    from classifiers.comparison.report.plot import Plot, new_figure

    with new_figure(2, 1) as figure:
        figure.add_subplot().plot([1, 2])
    return Plot(figure)


def use_remembered_plot(patch):
    """Replace all plots of reports by one cached plot, until the monkeypatch ends.

    Drawing plots takes most of the time of writing a report.
    """
    from classifiers.comparison.report.report_plots import ReportPlots

    patch.setattr(ReportPlots, "__getitem__", lambda *_: _plot_of_reports())


@pytest.fixture
def remembered_plots(monkeypatch):
    """Use one cached plot in all reports that a test writes. Reports that fixtures write have all plots."""
    use_remembered_plot(monkeypatch)
