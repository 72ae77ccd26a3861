"""The classes of a label map of the scene, added to a label set of the workbench."""

from classifiers.labelling.labels_db import LabelDatabase
from hsifeat import SceneError
from tests.helpers.labelled_scene import open_label_set


def test_either_all_classes_of_a_map_are_added_or_none(author, base, monkeypatch):
    path = open_label_set(author, base.split("/")[2], "classes of a map that can't be added")
    before, add = author.get(f"{path}/classes").text, LabelDatabase.add_class

    def add_first(database, *arguments, number, **options):
        if number != 1:
            raise SceneError("class numbers are whole numbers from 1 to 65535")
        return add(database, *arguments, number=number, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LabelDatabase, "add_class", add_first)
        assert author.post(f"{path}/classes-of-map", data={"name": "fields"}).status_code == 422
    assert author.get(f"{path}/classes").text == before
