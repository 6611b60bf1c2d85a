"""A link switch is one rename: no reader ever misses the link, and undo brings back exactly what was there."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import links
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@pytest.fixture
def root(tmp_path):
    for name in ("v1", "v2"):
        (tmp_path / "releases" / name).mkdir(parents=True)
        (tmp_path / "releases" / name / "REVISION").write_text(name)
    (tmp_path / "current").symlink_to("releases/v2")
    return tmp_path


def test_a_reader_sees_the_old_or_the_new_release_and_never_none(root):
    link, seen, stop = str(root / "current"), [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                with open(os.path.join(link, "REVISION"), encoding="utf-8") as stream:
                    seen.append(stream.read())
            except OSError as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        links.point(link, f"releases/v{1 + number % 2}")
    stop.set()
    reader.join()
    assert set(seen) == {"v1", "v2"}


def test_a_switch_is_announced_then_renamed_then_durable(root, journal, durability):
    links.switch(journal, "application", str(root / "current"), "releases/v1")
    rename = next(index for index, event in enumerate(durability) if event[0] == "rename")
    assert durability[rename][2] == str(root / "current")
    assert ("fsync", journal.path) in durability[:rename], "the change came before its journal line"
    assert durability[rename + 1] == ("fsync", str(root))
    assert os.readlink(root / "current") == "releases/v1"


def test_undo_brings_back_the_old_target_and_is_idempotent(root, journal):
    links.switch(journal, "application", str(root / "current"), "releases/v1")
    assert links.revert(journal, journal, "application") == [(str(root / "current"), "releases/v2")]
    assert links.revert(journal, journal, "application") == []
    assert os.readlink(root / "current") == "releases/v2"


def test_undo_takes_back_a_switch_that_was_killed_half_way(root, journal):
    journal.begin("application", "switch", "link", {"path": str(root / "current"), "target": "releases/v2"})
    (root / ".current.switch").symlink_to("releases/v1")
    links.revert(journal, journal, "application")
    assert os.readlink(root / "current") == "releases/v2"
    links.switch(journal, "application", str(root / "current"), "releases/v1")
    assert os.readlink(root / "current") == "releases/v1", "the rest of the killed switch was in the way"


def test_undo_of_several_switches_ends_at_the_first(root, journal):
    (root / "releases" / "v3").mkdir()
    for target in ("releases/v1", "releases/v3"):
        links.switch(journal, "application", str(root / "current"), target)
    links.revert(journal, journal, "application")
    assert os.readlink(root / "current") == "releases/v2"


def test_undo_removes_a_link_that_was_not_there(root, journal):
    links.switch(journal, "application", str(root / "fresh"), "releases/v1")
    links.revert(journal, journal, "application")
    assert not os.path.lexists(root / "fresh")


@pytest.mark.parametrize(("path", "target"), [("current", "releases/v9"), ("releases", "releases/v1")])
def test_a_switch_that_would_break_something_is_refused_before_the_journal(root, journal, path, target):
    with pytest.raises(RollbackError):
        links.switch(journal, "application", str(root / path), target)
    assert journal.steps() == []
    assert os.readlink(root / "current") == "releases/v2"
