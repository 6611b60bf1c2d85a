"""An error says what is wrong, what was found, where to look and what to do next, and no empty parts."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("It failed",), "It failed."),
        (("It failed.", 0), "It failed. Found: 0."),
        (("It failed", "", "/etc/x"), "It failed. Look at: /etc/x."),
        (("It failed", None, None, "try again"), "It failed. Next: try again"),
        (("It failed", "a.", "b", "c"), "It failed. Found: a. Look at: b. Next: c"),
    ],
)
def test_words(parts, text):
    assert str(RollbackError(*parts)) == text
