"""Requests whose numbers would hold the queue for everybody are refused when they are made."""

import pytest
from pydantic import ValidationError

from classifiers.comparison.config import BenchConfig
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.service.jobs.analysis_requests import BenchRequest, FitRequest

KEY = "ab" * 32


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (FitRequest, {"stores": [f"{n:064x}" for n in range(201)]}, "stores"),
        (BenchRequest, {"stores": [KEY], "options": {"seeds": 10**20}}, "seeds"),
        (BenchRequest, {"stores": [KEY], "options": {"seeds": 1001}}, "seeds"),
        (ExtractionConfig, {"draws": 10**30}, "draws"),
        (ExtractionConfig, {"draws": 10**12}, "draws"),
        (ExtractionConfig, {"tile": 10**12}, "tile"),
        (ExtractionConfig, {"halo": 10**12}, "halo"),
        (ExtractionConfig, {"timesteps": [10**30]}, "timesteps"),
    ],
)
def test_absurd_requests_are_refused(kind, body, field):
    with pytest.raises(ValidationError) as error:
        kind.model_validate(body)
    assert any(field in problem["loc"] for problem in error.value.errors())
    small = {"stores": [KEY], "seeds": 3, "draws": 2, "tile": 64, "halo": 16, "timesteps": [3], "options": {"seeds": 3}}
    kind.model_validate({name: small[name] for name in body}, strict=False)


def test_config_and_request_have_the_same_bound():
    with pytest.raises(HsifeatError, match="seeds: expected at most 1000; found 1000000"):
        BenchConfig.from_options({"seeds": 10**6})
