"""Where every test passes there is nothing to restore, and that costs nobody anything."""

from __future__ import annotations

from selective import refused, sessions


def test_nothing_broken():
    assert sessions() == [200, 200]
    text = refused(playbook="rollback-selective")
    assert "No function is broken: every test passed. Found: whatsapp, campaigns, pages" in text
    assert "rollback_function=<name>" in text
