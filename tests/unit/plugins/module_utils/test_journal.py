"""The journal survives being cut off or damaged anywhere, and is on disk before what it announces."""

from __future__ import annotations

import errno
import json
import os
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from hypothesis import given
from hypothesis import strategies as st

RUN_ID = "20261121T174500Z"


def on_disk(data: bytes, directory: str) -> Journal:
    journal = Journal(RUN_ID, directory)
    os.makedirs(journal.directory, exist_ok=True)
    with open(journal.path, "wb") as stream:
        stream.write(data)
    return journal


@pytest.fixture(scope="module")
def written():
    """Bytes of a journal with one undone, one complete and one announced change."""
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(RUN_ID, directory)
        first = journal.begin("application", "switch", "/srv/current", {"target": "old é"})
        journal.done(first)
        journal.undone(first)
        journal.done(journal.begin("database", "switch", "blazz", {"attic": "a"}), renamed=3)
        journal.begin("env_restore", "switch", "/srv/.env", {"source": "copy"})
        with open(journal.path, "rb") as stream:
            return stream.read()


def states(journal):
    return [(step.component, step.state) for step in journal.steps()]


def test_states_follow_the_lines(written, tmp_path):
    journal = on_disk(written, str(tmp_path))
    assert states(journal) == [("application", "undone"), ("database", "done"), ("env_restore", "begin")]
    assert [step.component for step in journal.steps() if step.pending_undo] == ["database", "env_restore"]
    assert journal.steps("database")[0].result == {"renamed": 3}


def test_a_line_is_on_disk_before_the_change_starts(journal, durability):
    with journal.step("application", "switch", "link", {"target": "old"}):
        assert ("fsync", journal.path) in durability
        assert ("fsync", journal.directory) in durability, "a new file is not there after a power cut"
        with open(journal.path, "rb") as stream:
            assert json.loads(stream.read())["undo"] == {"target": "old"}
        seen = len(durability)
    assert ("fsync", journal.path) in durability[seen:], "done was not made durable"


def test_a_change_that_raises_stays_to_be_undone(journal):
    with pytest.raises(KeyboardInterrupt), journal.step("application", "switch", "link", {}):
        raise KeyboardInterrupt
    assert [step.state for step in journal.to_undo("application")] == ["failed"]


def test_nothing_starts_if_the_announcement_cannot_be_written(journal, monkeypatch):
    """A full disk takes a part of the line without an error, and refuses the rest."""
    write = os.write

    def full_disk(descriptor, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10])

    monkeypatch.setattr(os, "write", full_disk)
    started = []
    with pytest.raises(OSError, match="No space"), journal.step("application", "switch", "link", {}):
        started.append(True)
    assert started == []
    assert journal.steps() == []


@pytest.mark.parametrize("rest", [b"", b"\0\0\0\0", b"\xff\xfe", b'{"seq": 9', b"[" * 5000])
def test_cut_off_anywhere_keeps_what_was_before_and_takes_new_lines(written, tmp_path, rest):
    for length in range(len(written)):
        journal = on_disk(written[:length] + rest, str(tmp_path))
        # A last line that lacks nothing but its end of line is complete.
        complete = [line for line in written[:length].split(b"\n")[:-1] if line]
        before = journal.steps()
        assert len(before) >= len([line for line in complete if b'"begin"' in line])
        seq = journal.begin("frontend", "switch", "next", {"back": "there"})
        after = journal.steps()
        assert after[: len(before)] == before, f"cut off after {length} bytes"
        assert (after[-1].seq, after[-1].component, after[-1].undo) == (seq, "frontend", {"back": "there"})
        assert seq not in [step.seq for step in before]


@given(st.data())
def test_damage_never_hides_other_lines(written, data):
    lines = written.splitlines(keepends=True)
    victim = data.draw(st.integers(0, len(lines) - 1))
    garbage = data.draw(st.binary(max_size=80)).replace(b"\n", b"")
    damaged = lines[:victim] + [garbage + b"\n"] + lines[victim + 1 :]
    with tempfile.TemporaryDirectory() as directory:
        journal = on_disk(b"".join(damaged), directory)
        with tempfile.TemporaryDirectory() as other:
            without = on_disk(b"".join(lines[:victim] + lines[victim + 1 :]), other)
            assert journal.steps() == without.steps()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
NEAR = st.fixed_dictionaries({}, optional=dict.fromkeys(("seq", "state", "component", "undo", "result", "name"), JSON))


@given(JSON | NEAR)
def test_json_that_is_no_journal_line_is_ignored(document):
    with tempfile.TemporaryDirectory() as directory:
        journal = on_disk(json.dumps(document).encode() + b"\n", directory)
        assert journal.steps() == []
        assert journal.to_undo("application") == []
        journal.begin("application", "switch", "link", {})
        assert states(journal) == [("application", "begin")]


def test_undo_is_newest_first_and_of_one_component(journal):
    for name in ("one", "two"):
        journal.done(journal.begin("application", "switch", name, {}))
    journal.begin("database", "switch", "blazz", {})
    assert [step.name for step in journal.to_undo("application")] == ["two", "one"]
    assert [step.name for step in journal.to_undo("application", "one")] == ["one"]


def test_directories_are_private(journal):
    journal.begin("application", "switch", "link", {})
    assert os.stat(journal.directory).st_mode & 0o777 == 0o700
    assert os.stat(journal.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("run_id", ["", "latest", "../../etc", f"{RUN_ID}\n", f"{RUN_ID}/x", "\uff120261121T174500Z"])
def test_a_run_id_is_never_a_path(run_id):
    with pytest.raises(RollbackError, match="run id"):
        Journal(run_id, "/nowhere")
