"""What tests of classifiers share: a real comparison with all its files."""

import pytest

from classifiers import compare
from classifiers.comparison.report.write import write_files

SPLITS = ("random:0.3", "blocks:9+1:0.3")


@pytest.fixture(scope="session")
def report(store_path, tmp_path_factory):
    """A comparison and its folder."""
    out = tmp_path_factory.mktemp("report")
    options = {"heads": ["lda", "logistic"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra", "planes"]}
    found = compare(store_path, curve=[5], sweep="lda", out=out, **options)
    assert write_files(found, out)
    return found, out, options
