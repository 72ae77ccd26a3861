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
    """Start Chromium once per session. Without Chromium, the test is skipped, or fails if HSIFEAT_REQUIRE contains ``chromium``."""
    program = shutil.which("chromium")
    if program is None:
        required = "chromium" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def watched_pages(chromium):
    """Return a function that opens a page or returns an earlier page with the same options, and lists of messages and requests.

    Pages are kept for later tests, because opening a page takes most of the time of a test.
    """
    pages, complaints, requests = {}, [], []

    def watched_page(phone, options):
        key = phone, *sorted(options.items())
        if key not in pages:
            page = chromium.new_context(is_mobile=phone, **options).new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            pages[key] = page
        return pages[key]

    return watched_page, complaints, requests


@pytest.fixture
def open_page(watched_pages):
    """Return a function that opens a file as a Playwright page. Calls with the same options share one page.

    The test fails if a page logs a message, raises an error or sends a network request.
    """
    watched_page, complaints, requests = watched_pages

    def open_file(path, width=1280, scheme="light", **options):
        page = watched_page(width < 600, options)
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(media="screen", color_scheme=scheme)
        page.goto(path.as_uri())
        return page

    yield open_file
    found, urls = complaints[:], requests[:]
    complaints.clear()
    requests.clear()
    assert not found
    assert urls and all(url.startswith(("file:", "data:")) for url in urls)


def audit(page, selector="html"):
    """Check the accessibility of a part of a page with axe, after opening all elements ``details``.

    Return the rules that the part passes, and descriptions of its serious and critical violations.
    """
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    page.evaluate(AXE.read_text())
    results = page.evaluate("part => axe.run(part, {resultTypes: ['violations'], iframes: false})", selector)
    serious = [fault for fault in results["violations"] if fault["impact"] in {"serious", "critical"}]
    faults = [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in serious]
    return {rule["id"] for rule in results["passes"]}, faults
