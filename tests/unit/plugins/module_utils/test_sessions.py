"""WhatsApp sessions: a valid one is never replaced, a copy is whole or none, what is replaced is kept."""

from __future__ import annotations

import functools
import json
import os
import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import session_state, sessions
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest

LINKED = {
    "me": {"id": "linked@example"},
    "registrationId": 7,
    "noiseKey": {"a": 1},
    "signedIdentityKey": {"public": "b"},
    "account": {"details": "c"},
}


def make(path, credentials=None, **others):
    path.mkdir(parents=True)
    (path / "creds.json").write_text(json.dumps(LINKED if credentials is None else credentials))
    for name, text in others.items():
        (path / f"{name}.json").write_text(text)
    return path


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "sessions" / "sales", session="{}")


@pytest.fixture
def copy(tmp_path):
    return make(tmp_path / "copies" / "sales", session='{"copied": true}')


def inspect(folder):
    return session_state.inspect(session_state.Store(str(folder.parent)), [folder.name])[0]


def test_a_linked_session_is_valid(folder):
    found = inspect(folder)
    assert (found.valid, found.reason, found.digest) == (True, "", tree_digest(str(folder)))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (shutil.rmtree, "folder is missing"),
        (lambda path: (path / "creds.json").unlink(), "creds.json is missing"),
        (lambda path: (path / "creds.json").write_text("{"), "creds.json is not whole"),
        (lambda path: (path / "creds.json").write_bytes(b"\xff"), "creds.json is not whole"),
        (lambda path: (path / "creds.json").write_text("[]"), "not an object"),
        (lambda path: (path / "session.json").write_text(""), "session.json is not whole"),
        (lambda path: (path / "folder.json").mkdir(), "folder.json is not whole"),
        *[
            (lambda path, key=key: (path / "creds.json").write_text(json.dumps({**LINKED, key: None})), key)
            for key in LINKED
        ],
        (lambda path: (path / "creds.json").write_text(json.dumps({**LINKED, "me": {"id": ""}})), "never linked"),
        (lambda path: (path / "creds.json").write_text(json.dumps({**LINKED, "me": "x"})), "never linked"),
    ],
)
def test_a_broken_session_is_recognised_and_says_why(folder, damage, reason):
    damage(folder)
    found = inspect(folder)
    assert not found.valid
    assert reason in found.reason


def test_a_file_caught_half_written_is_no_verdict(folder, monkeypatch):
    whole = (folder / "creds.json").read_text()
    written = iter([whole[:20], whole[:30], whole])
    (folder / "creds.json").write_text(whole[:10])
    monkeypatch.setattr(session_state.time, "sleep", lambda _seconds: (folder / "creds.json").write_text(next(written)))
    assert inspect(folder).valid


def leftovers(directory):
    return sorted(os.listdir(directory))


def test_capture_copies_again_while_the_service_writes(folder, tmp_path, monkeypatch):
    destination, writes, copy_tree = tmp_path / "point" / "sales", [], sessions.copy_tree

    def service_writes_meanwhile(source, target):
        copy_tree(source, target)
        if len(writes) < 3:
            writes.append(1)
            (folder / "session.json").write_text(json.dumps({"write": len(writes)}))

    monkeypatch.setattr(sessions, "copy_tree", service_writes_meanwhile)
    digest = sessions.capture(inspect(folder), str(destination))
    assert len(writes) == 3
    assert digest == tree_digest(str(destination)) == tree_digest(str(folder))
    assert json.loads((destination / "session.json").read_text()) == {"write": 3}
    assert leftovers(destination.parent) == ["sales"]


def test_capture_copies_again_when_a_file_goes_away_under_it(folder, tmp_path, monkeypatch):
    removed = []

    def remove_once(source, target, **options):
        if not removed:
            removed.append(source)
            os.unlink(folder / "session.json")
        return shutil.copy2(source, target, **options)

    session = inspect(folder)
    monkeypatch.setattr(shutil, "copytree", functools.partial(shutil.copytree, copy_function=remove_once))
    sessions.capture(session, str(tmp_path / "point" / "sales"))
    assert removed
    assert leftovers(tmp_path / "point" / "sales") == ["creds.json"]


def test_a_capture_that_fails_keeps_the_earlier_copy_and_no_part(folder, copy, monkeypatch):
    before, copy_tree = tree_digest(str(copy)), sessions.copy_tree

    def never_the_same(source, target):
        copy_tree(source, target)
        (folder / "session.json").write_text(json.dumps({"write": os.urandom(4).hex()}))

    monkeypatch.setattr(sessions, "copy_tree", never_the_same)
    with pytest.raises(RollbackError, match="every attempt"):
        sessions.capture(inspect(folder), str(copy), attempts=3)
    assert tree_digest(str(copy)) == before
    assert leftovers(copy.parent) == ["sales"]


def test_a_copy_that_cannot_be_made_says_so(folder, tmp_path, monkeypatch):
    def full_disk(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sessions, "copy_tree", full_disk)
    with pytest.raises(RollbackError, match="No space left"):
        sessions.capture(inspect(folder), str(tmp_path / "point" / "sales"))


def test_a_valid_session_is_never_replaced(folder, copy, journal):
    before = tree_digest(str(folder))
    with pytest.raises(RollbackError, match="only a broken one"):
        sessions.restore(journal, inspect(folder), str(copy))
    assert tree_digest(str(folder)) == before
    assert journal.steps() == []


def test_a_broken_copy_replaces_nothing(folder, copy, journal):
    (folder / "creds.json").write_text("{")
    (copy / "creds.json").write_text("{")
    with pytest.raises(RollbackError, match="valid copy"):
        sessions.restore(journal, inspect(folder), str(copy))
    assert (folder / "creds.json").read_text() == "{"


@pytest.fixture
def broken(folder):
    (folder / "creds.json").write_text("{")
    (folder / "creds.json").chmod(0o640)
    if os.getuid() == 0:
        os.chown(folder / "creds.json", 12345, 23456)
    return folder


def test_restore_keeps_the_broken_one_and_undo_brings_it_back(broken, copy, journal):
    before, status = tree_digest(str(broken)), os.stat(broken / "creds.json")
    sessions.restore(journal, inspect(broken), str(copy))
    assert tree_digest(str(broken)) == tree_digest(str(copy))
    kept = os.path.join(journal.directory, "replaced", sessions.COMPONENT)
    assert [tree_digest(os.path.join(kept, name)) for name in leftovers(kept)] == [before]
    assert leftovers(broken.parent) == ["sales"], "the service would take another folder for an account"
    assert sessions.revert(journal, journal, "sales") is True
    assert sessions.revert(journal, journal, "sales") is False
    assert tree_digest(str(broken)) == before
    after = os.stat(broken / "creds.json")
    assert (after.st_mode, after.st_uid, after.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
    assert leftovers(kept) == ["sales", "sales.undone"]


def test_the_replaced_one_is_kept_before_the_journal_line_and_that_before_the_switch(broken, copy, journal, durability):
    sessions.restore(journal, inspect(broken), str(copy))
    kept = durability.index(("fsync", os.path.join(journal.directory, "replaced", sessions.COMPONENT)))
    announced = durability.index(("fsync", journal.path))
    replaced = next(index for index, event in enumerate(durability) if event[0] == "rename" and event[1] == str(broken))
    assert kept < announced < replaced


@pytest.mark.parametrize("fatal", range(8))
def test_undo_works_wherever_restore_was_killed(broken, copy, journal, monkeypatch, fatal):
    """``fatal`` counts the calls that change a name; the one that is due ends the process."""
    before, calls, rename, rmtree = tree_digest(str(broken)), [], os.rename, shutil.rmtree

    def counted(real):
        def call(*arguments, **options):
            calls.append(arguments)
            if len(calls) > fatal:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", counted(rename))
        patch.setattr(shutil, "rmtree", counted(rmtree))
        try:
            sessions.restore(journal, inspect(broken), str(copy))
            sessions.revert(journal, journal, "sales")
        except KeyboardInterrupt:
            pass
    sessions.revert(journal, journal, "sales")
    assert tree_digest(str(broken)) == before


def test_undo_takes_away_a_session_that_was_not_there(folder, copy, journal):
    shutil.rmtree(folder)
    sessions.restore(journal, inspect(folder), str(copy))
    assert inspect(folder).valid
    sessions.revert(journal, journal, "sales")
    assert not folder.exists()
    kept = os.path.join(journal.directory, "replaced", sessions.COMPONENT, "sales.undone")
    assert tree_digest(kept) == tree_digest(str(copy))


def test_restoring_twice_loses_nothing(broken, copy, journal):
    first = tree_digest(str(broken))
    sessions.restore(journal, inspect(broken), str(copy))
    (broken / "creds.json").write_text("[")
    second = tree_digest(str(broken))
    sessions.restore(journal, inspect(broken), str(copy))
    kept = os.path.join(journal.directory, "replaced", sessions.COMPONENT)
    assert [tree_digest(os.path.join(kept, name)) for name in leftovers(kept)] == [first, second]
    sessions.revert(journal, journal, "sales")
    assert tree_digest(str(broken)) == first


def test_links_that_lead_nowhere_are_copied_as_they_are(folder, tmp_path):
    (folder / "SingletonLock").symlink_to("gone")
    sessions.capture(inspect(folder), str(tmp_path / "point" / "sales"))
    assert os.readlink(tmp_path / "point" / "sales" / "SingletonLock") == "gone"


@pytest.fixture
def copies(tmp_path):
    """Four generations, of which the newest cannot be used."""
    for name in ("20261118T000000Z", "20261119T000000Z", "20261120T000000Z"):
        make(tmp_path / "copies" / "sales" / name)
    make(tmp_path / "copies" / "sales" / "20261121T000000Z", {**LINKED, "me": {}})
    (tmp_path / "copies" / "sales" / ".20261122T000000Z.partial").mkdir()
    return str(tmp_path / "copies")


def test_the_newest_copy_that_is_valid_is_taken(copies):
    newest = sessions.newest_valid(copies, "sales", session_state.BAILEYS)
    assert os.path.basename(newest) == "20261120T000000Z"
    shutil.rmtree(newest)
    newest = sessions.newest_valid(copies, "sales", session_state.BAILEYS)
    assert os.path.basename(newest) == "20261119T000000Z"
    assert sessions.newest_valid(copies, "support", session_state.BAILEYS) == ""


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (4, ["20261118T000000Z", "20261119T000000Z", "20261120T000000Z", "20261121T000000Z"]),
        (3, ["20261119T000000Z", "20261120T000000Z", "20261121T000000Z"]),
        (1, ["20261120T000000Z", "20261121T000000Z"]),
        (0, ["20261120T000000Z"]),
    ],
)
def test_old_copies_go_but_never_the_last_that_can_be_used(copies, most, left):
    sessions.prune(copies, "sales", session_state.BAILEYS, most)
    assert leftovers(os.path.join(copies, "sales")) == left


def test_a_session_that_its_service_calls_broken_may_be_replaced(folder, copy, journal):
    sessions.restore(journal, inspect(folder), str(copy), stated=True)
    assert tree_digest(str(folder)) == tree_digest(str(copy))


def test_marks_of_a_browser_that_ended_are_not_restored(broken, copy, journal):
    for name in session_state.SINGLETONS:
        (copy / name).symlink_to("wa1-4711")
    sessions.restore(journal, inspect(broken), str(copy))
    assert leftovers(broken) == ["creds.json", "session.json"]
