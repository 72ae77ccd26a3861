"""Imports for the server from which the processes of commands and trainings are forked.

Without these imports, each `hsifeat fit` would spend three seconds on importing scikit-learn, pandas and skops. The server
also has in memory the layers and weights of the small network that most commands of tests use, and the plot of tiny
trainings. All objects are excluded from garbage collection, so that the forked processes share their memory.
"""

import gc
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.remembered import remember_entry_points, remember_taps, remember_weights
from tests.helpers.short_pauses import shorten_pauses
from tests.helpers.small import save_unet

gc.disable()
remember_entry_points()
remember_taps()
remember_weights()

import typer  # noqa: E402  # after the entry points

from classifiers.state_file import import_skops  # noqa: E402
from hsifeat.backbones.networks import NETWORKS, network_type  # noqa: E402
from hsifeat.backbones.open_backbone import open_backbone  # noqa: E402
from tests.helpers.tiny_training import remembered_plot  # noqa: E402

for module in (
    "classifiers.comparison.compare",
    "classifiers.comparison.report.write",
    "classifiers.model",
    "classifiers.predict",
    "dask.array",
    "distributed",
    "hsifeat.commands.app",
    "hsifeat.extraction.unit_task",
    "hsifeat.features.export",
    "hsifeat.scenes.maps.geotiff_writer",
    "hsifeat.pretraining.objectives",
    "hsifeat.pretraining.pretrain",
    "hsifeat.service.server",
    "joblib",
    "matplotlib.figure",
    "pandas",
    "pytest",
    "rasterio",
    "scipy.ndimage",
    "sklearn.decomposition",
    "sklearn.discriminant_analysis",
    "sklearn.svm",
    "tests.helpers.own_networks",
    "tests.helpers.tiny_training",
    "torch.optim.swa_utils",
):
    import_module(module)
import_skops()
list(typer.main.get_command(import_module("hsifeat.commands.app").app).commands.values())
shorten_pauses()
for name in NETWORKS:
    network_type(name)
with TemporaryDirectory() as folder:
    save_unet(Path(folder), seed=7)  # as the fixture `backbone_folder`
    backbone = open_backbone(folder)
    assert backbone.taps
    backbone.to("cpu")
remembered_plot()
gc.freeze()
gc.enable()
