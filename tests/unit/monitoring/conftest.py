"""A browser for the tests that look at a page."""

from __future__ import annotations

import os
import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.modules import validation_browser


# While Playwright is there its event loop runs, and other tests want their own.
@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, validation_browser.NAMES)))
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
