"""Models of labels: saved, loaded and applied like those of `hsifeat fit`."""

import pytest

from classifiers import load_model, predict_map
from classifiers.defaults import DEFAULT_SMOOTHING
from classifiers.labelling.labelled_model import labelled_model
from classifiers.labelling.quick_map import QuickMapper
from hsifeat.errors import HeadError
from hsifeat.scenes import Labels


def test_a_saved_model_maps_the_store_like_the_quick_map(context, columns, clicks, tmp_path):
    mapper = QuickMapper(columns)
    labels = Labels("clicks", clicks, {1: "corn"}, {2: "#123456"})
    labelled_model(context, mapper, labels).save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    found = mapper.predict(mapper.fit(clicks)).classes
    assert (predict_map(context, model) == found).mean() > 0.999
    assert (model.class_names[1], model.class_colours[2]) == ("corn", "#123456")
    assert model.train_pixels == (clicks > 0).sum()
    assert (model.card.inputs, model.card.reduction) == ("spectra+window+context", "scene")
    assert model.smooth == DEFAULT_SMOOTHING
    assert model.card.keys == (context.key,)


@pytest.mark.parametrize("other", ["features", "stack"])
def test_columns_of_other_stores_are_refused(other, request, columns, clicks):
    with pytest.raises(HeadError, match="the columns of the mapper were computed from other stores than .*small"):
        labelled_model(request.getfixturevalue(other), QuickMapper(columns), Labels("clicks", clicks))
