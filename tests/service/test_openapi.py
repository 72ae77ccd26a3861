"""The description of the service is true: schemathesis sends allowed and forbidden requests."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

CHECKS = [
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
]


@pytest.fixture(scope="session")
def operations(service):
    """All operations of the description. Schemathesis is imported here, because each worker imports the module."""
    import schemathesis

    return [result.ok() for result in schemathesis.openapi.from_dict(service.app.openapi()).get_all_operations()]


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_responses_are_as_described(service, operations, mode):
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks

    mode, wanted = GenerationMode(mode), [getattr(checks, name) for name in CHECKS]
    # Without the right to write, requests that change something are refused before their bodies are read.
    headers, statuses = {"Authorization": f"Bearer {service.tokens['admin']}"}, set()
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (list(operation.iter_parameters()) or operation.body):
            continue

        @settings(
            max_examples=2,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            response = case.call(base_url=service.url, headers=headers, timeout=20)
            assert response.status_code < 500 or response.status_code == 503, response.text
            case.validate_response(response, checks=wanted)
            statuses.add(response.status_code)

        check()
    assert statuses >= ({200, 404} if mode is GenerationMode.POSITIVE else {422})


def test_every_error_is_described_in_its_form(service):
    description = service.app.openapi()
    assert {"type", "title", "status", "detail"} <= set(
        description["components"]["schemas"]["ProblemDetails"]["properties"]
    )
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            forms = {
                form
                for status, answer in operation["responses"].items()
                if int(status) >= 400
                for form in answer["content"]
            }
            assert forms == {"application/problem+json"}, (method, path)
