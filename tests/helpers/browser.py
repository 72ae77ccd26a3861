"""Headless Chromium for tests, controlled by Playwright, and accessibility audits by axe."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

AXE = Path(importlib.util.find_spec("axe_core_python").origin).with_name("axe.min.js")


@pytest.fixture(scope="session")
def chromium():
    """Start Chromium once per session; without it the test is skipped, or fails if HSIFEAT_REQUIRE contains it."""
    program = shutil.which("chromium")
    if program is None:
        required = "chromium" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Return a function that opens a file as a Playwright page.

    The test fails if a page logs a message, raises an error or sends a network request.
    """
    contexts, complaints, requests = [], [], []

    def open_file(path, width=1280, scheme="light", **options):
        viewport = {"width": width, "height": 844}
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, is_mobile=width < 600, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(("file:", "data:")) for url in requests)


def audit(page):
    """Return the axe rules that a page passes, and its serious violations, with all details opened."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    page.evaluate(AXE.read_text())
    results = page.evaluate("axe.run({resultTypes: ['violations'], iframes: false})")
    serious = [fault for fault in results["violations"] if fault["impact"] in {"serious", "critical"}]
    faults = [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in serious]
    return {rule["id"] for rule in results["passes"]}, faults
