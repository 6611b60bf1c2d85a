"""The collection is found from a plain checkout through tracked links; tests of a copy would prove nothing."""

from __future__ import annotations

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections" / "ansible_collections" / "campaign" / "rollback"


@pytest.mark.parametrize("name", ["extensions", "galaxy.yml", "meta", "playbooks", "plugins", "roles"])
def test_link_leads_to_the_checkout(name):
    assert (COLLECTION / name).is_symlink()
    assert (COLLECTION / name).resolve() == ROOT / name


def test_nothing_else_is_in_the_collection():
    assert len(list(COLLECTION.iterdir())) == 6
