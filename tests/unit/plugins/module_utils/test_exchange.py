"""A directory is exchanged in one step: no reader misses it, a killed run completes it, undo brings it back."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import exchange as exchanges
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

UNDO, REDO = "20261121T180000Z", "20261121T183000Z"


class Killed(BaseException):
    """The process ends here: nothing of what follows happens."""


@pytest.fixture
def pair(tmp_path):
    """The live directory and the prepared one, as paths."""
    for name, text in (("live/build", "v2"), ("aside/build", "v1")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text(text)
    return str(tmp_path / "live" / "build"), str(tmp_path / "aside" / "build")


def content(path):
    if not os.path.isdir(path):
        return None
    with open(os.path.join(path, "manifest.json"), encoding="utf-8") as stream:
        return stream.read()


def exchange(journal, pair):
    return exchanges.exchange(journal, "frontend", *pair)


def test_a_reader_sees_the_old_or_the_new_directory_and_never_none(pair):
    live, seen, stop = pair[0], [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                seen.append(content(live))
            except OSError as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2000):
        exchanges.rename(*pair, exchanges.RENAME_EXCHANGE)
    stop.set()
    reader.join()
    assert set(seen) == {"v1", "v2"}


def test_both_directories_are_kept_and_repeating_changes_nothing(pair, journal):
    assert exchange(journal, pair) is True
    assert (content(pair[0]), content(pair[1])) == ("v1", "v2")
    assert exchanges.check(journal, "frontend", *pair) is False
    assert exchange(journal, pair) is False
    assert (content(pair[0]), content(pair[1])) == ("v1", "v2")
    assert [step.state for step in journal.steps()] == ["done"]


@pytest.mark.parametrize("moved", [False, True], ids=["before the exchange", "after the exchange"])
def test_a_killed_exchange_is_completed_or_put_back(pair, journal, moved, monkeypatch):
    rename = exchanges.rename

    def killed(*argv):
        if moved:
            rename(*argv)
        raise Killed

    monkeypatch.setattr(Journal, "failed", lambda *_: None)
    monkeypatch.setattr(exchanges, "rename", killed)
    with pytest.raises(Killed):
        exchange(journal, pair)
    assert [step.state for step in journal.steps()] == ["begin"], "it was not on record before it was done"
    monkeypatch.setattr(exchanges, "rename", rename)
    assert exchange(journal, pair) is not moved
    assert content(pair[0]) == "v1"
    assert [step.state for step in journal.steps()] == ["done"]
    assert exchanges.revert(journal, journal, "frontend") == [pair[0]]
    assert content(pair[0]) == "v2"


def test_undo_knows_the_directory_even_if_its_content_has_changed(pair, journal):
    exchange(journal, pair)
    for path in pair:
        with open(os.path.join(path, "late"), "w", encoding="utf-8") as stream:
            stream.write("written since")
    assert exchanges.revert(journal, journal, "frontend") == [pair[0]]
    assert content(pair[0]) == "v2"
    assert exchanges.revert(journal, journal, "frontend") == []
    assert content(pair[0]) == "v2"


@pytest.mark.parametrize("existed", [True, False], ids=["a directory", "none before"])
def test_an_undo_by_another_run_can_be_undone(pair, journal, state_dir, existed, tmp_path):
    if not existed:
        (tmp_path / "live" / "build" / "manifest.json").unlink()
        (tmp_path / "live" / "build").rmdir()
    before = "v2" if existed else None
    undo, redo = Journal(UNDO, state_dir), Journal(REDO, state_dir)
    exchange(journal, pair)
    assert (content(pair[0]), content(pair[1])) == ("v1", before)
    assert exchanges.revert(journal, undo, "frontend") == [pair[0]]
    assert (content(pair[0]), content(pair[1])) == (before, "v1")
    assert exchanges.revert(undo, redo, "frontend") == [pair[0]]
    assert (content(pair[0]), content(pair[1])) == ("v1", before)
    assert [step.state for step in journal.steps()] == ["done"]
    assert exchanges.revert(journal, journal, "frontend") == [pair[0]]
    assert (content(pair[0]), content(pair[1])) == (before, "v1")


def test_a_killed_undo_by_another_run_is_completed(pair, journal, state_dir, monkeypatch):
    undo = Journal(UNDO, state_dir)
    exchange(journal, pair)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_mark", lambda *_a, **_k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            exchanges.revert(journal, undo, "frontend")
    assert content(pair[0]) == "v2"
    assert exchanges.revert(journal, undo, "frontend") == []
    assert content(pair[0]) == "v2"
    assert [step.state for step in journal.steps() + undo.steps()] == ["undone", "done"]
    assert exchanges.revert(undo, Journal(REDO, state_dir), "frontend") == [pair[0]]
    assert content(pair[0]) == "v1"


def test_a_deploy_meanwhile_is_kept_beside_what_comes_back(pair, journal, tmp_path):
    exchange(journal, pair)
    os.rename(pair[0], tmp_path / "older")
    os.mkdir(pair[0])
    (tmp_path / "live" / "build" / "manifest.json").write_text("v3")
    assert exchanges.revert(journal, journal, "frontend") == [pair[0]]
    assert (content(pair[0]), content(pair[1])) == ("v2", "v3")


def test_undo_refuses_to_guess_if_what_was_replaced_is_gone(pair, journal, tmp_path):
    exchange(journal, pair)
    os.rename(pair[1], tmp_path / "elsewhere")
    with pytest.raises(RollbackError, match="not where it was left"):
        exchanges.revert(journal, journal, "frontend")
    assert content(pair[0]) == "v1"


def test_a_link_on_the_way_may_point_elsewhere_by_the_time_of_the_undo(pair, journal, tmp_path):
    (tmp_path / "current").symlink_to("live")
    exchange(journal, (str(tmp_path / "current" / "build"), pair[1]))
    (tmp_path / "current").unlink()
    assert exchanges.revert(journal, journal, "frontend") == [pair[0]]
    assert content(pair[0]) == "v2"


@pytest.mark.parametrize("wrong", ["no prepared", "a link", "a file", "no place"])
def test_what_cannot_be_exchanged_is_refused_before_it_is_on_record(pair, journal, tmp_path, wrong):
    live, prepared = pair
    if wrong == "no prepared":
        prepared = str(tmp_path / "none")
    elif wrong == "a link":
        (tmp_path / "link").symlink_to("live")
        live = str(tmp_path / "link")
    elif wrong == "a file":
        prepared = os.path.join(prepared, "manifest.json")
    else:
        live = str(tmp_path / "none" / "build")
    with pytest.raises(RollbackError):
        exchange(journal, (live, prepared))
    assert journal.steps() == []


@pytest.mark.parametrize("number", sorted(exchanges.IMPOSSIBLE))
def test_a_file_system_that_cannot_is_told_and_tried_out_in_time(pair, monkeypatch, number, tmp_path):
    exchanges.try_out(str(tmp_path))
    left = set(os.listdir(tmp_path))

    class Libc:
        @staticmethod
        def renameat2(*_argv):
            exchanges.ctypes.set_errno(number)
            return -1

    monkeypatch.setattr(exchanges.ctypes, "CDLL", lambda *_, **__: Libc)
    with pytest.raises(RollbackError, match="cannot be exchanged in one step") as refused:
        exchanges.try_out(str(tmp_path))
    assert os.strerror(number) in str(refused.value)
    assert set(os.listdir(tmp_path)) == left
    with pytest.raises(RollbackError, match="cannot be exchanged in one step"):
        exchanges.rename(*pair, exchanges.RENAME_EXCHANGE)


def test_an_old_c_library_is_told(pair, monkeypatch):
    monkeypatch.setattr(exchanges.ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(RollbackError, match=os.strerror(errno.ENOSYS)):
        exchanges.rename(*pair, exchanges.RENAME_EXCHANGE)
    assert content(pair[0]) == "v2"


def test_both_ends_are_durable_when_it_returns(pair, journal, durability):
    exchange(journal, pair)
    synced = [event[1] for event in durability if event[0] == "fsync"]
    announced = synced.index(journal.path)
    assert {os.path.dirname(path) for path in pair} <= set(synced[announced + 1 :])
