"""The journal survives being cut off or damaged anywhere, and is on disk before what it announces."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import fences
from ansible_collections.campaign.rollback.plugins.module_utils import journal as journals
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from hypothesis import given, settings
from hypothesis import strategies as st

RUN_ID = "20261121T174500Z"
#: An undo of that run, the undo of this undo, and so on.
UNDO, REDO, UNDO_AGAIN, REDO_AGAIN = (f"20261121T18{minute}00Z" for minute in ("00", "10", "20", "30"))
FORK = multiprocessing.get_context("fork")


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


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["begin", "done", "failed", "undone"]), st.integers(1, 4), st.text(max_size=6)),
    min_size=1,
    max_size=8,
)


# Without a deadline, because every line is fsynced and disks differ; every example goes through all bytes of its line.
@settings(deadline=None, max_examples=8)
@given(OPERATIONS, st.binary(max_size=12))
def test_a_last_line_torn_at_any_byte_loses_nothing_but_itself(operations, rest):
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(RUN_ID, directory, 3)
        before = []
        for kind, seq, text in operations:
            before = journal.steps()
            if kind == "begin":
                journal.begin("application", "switch", text, {"target": text})
            elif kind == "failed":
                journal.failed(seq, text)
            else:
                getattr(journal, kind)(seq)
        with open(journal.path, "rb") as stream:
            whole = stream.read()
        last = whole[:-1].rfind(b"\n") + 1
        # Neither ends the line nor completes the object.
        garbage = rest.replace(b"\n", b"").replace(b"}", b"")
        for length in range(last, len(whole) - 1):
            torn = on_disk(whole[:length] + garbage, directory)
            assert torn.steps() == before
            seq = torn.begin("frontend", "switch", "next", {})
            assert torn.steps()[-1].seq == seq
            assert torn.steps()[:-1] == before


def test_every_line_carries_the_number_of_its_lease(state_dir):
    one = Journal(RUN_ID, state_dir, 3)
    one.failed(one.begin("application", "switch", "link", {}), "no")
    two = Journal(RUN_ID, state_dir, 4)
    for step in two.to_undo("application"):
        with two.reverting(step, two, {}):
            pass
    with open(one.path, encoding="utf-8") as stream:
        assert [json.loads(line)["fencing"] for line in stream] == [3, 3, 4]


def test_a_journal_acts_with_its_own_number_only(state_dir):
    fences.announce(state_dir, 5, 0)
    with pytest.raises(RollbackError, match="lease number 4, the newest is 5"), Journal(RUN_ID, state_dir, 4).acting():
        pytest.fail("a stale run changed something")
    with Journal(RUN_ID, state_dir, 5).acting(), pytest.raises(RollbackError, match="still under way"):
        fences.announce(state_dir, 6, 0)


class Thing:
    """Something that runs change: a file with one value."""

    def __init__(self, state_dir):
        self.state_dir = state_dir
        self.path = os.path.join(state_dir, "thing")

    @property
    def value(self):
        with open(self.path, encoding="utf-8") as stream:
            return stream.read()

    @value.setter
    def value(self, value):
        os.makedirs(self.state_dir, exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as stream:
            stream.write(value)

    def change(self, run_id, value):
        journal = Journal(run_id, self.state_dir)
        with journal.step("application", "switch", "thing", {"value": self.value}):
            self.value = value

    def put_back(self, run_id, by):
        """As the components do it: every step that is to be undone, newest first, each safe to repeat."""
        journal, by = Journal(run_id, self.state_dir), Journal(by, self.state_dir)
        for step in journal.to_undo("application", "thing"):
            with journal.reverting(step, by, {"value": self.value}):
                self.value = step.undo["value"]

    def states(self, run_id):
        return [step.state for step in Journal(run_id, self.state_dir).steps()]


@pytest.fixture
def thing(state_dir):
    found = Thing(state_dir)
    found.value = "old"
    return found


def test_a_run_takes_itself_back(thing):
    thing.change(RUN_ID, "new")
    thing.put_back(RUN_ID, by=RUN_ID)
    assert thing.value == "old"
    assert thing.states(RUN_ID) == ["undone"]
    thing.value = "later"
    thing.put_back(RUN_ID, by=RUN_ID)
    assert thing.value == "later", "put back twice"


def test_another_run_announces_how_to_come_back_before_it_puts_back(thing, state_dir):
    thing.change(RUN_ID, "new")
    journal, by = Journal(RUN_ID, state_dir), Journal(UNDO, state_dir)
    (step,) = journal.to_undo("application")
    with journal.reverting(step, by, {"value": "new"}) as result:
        (announced,) = by.steps()
        assert (announced.state, announced.verb, announced.component) == ("begin", "undo", "application")
        assert announced.undo == {"value": "new", "reverts": {"run": RUN_ID, "seq": step.seq}}
        assert thing.states(RUN_ID) == ["done"], "marked before it was done"
        result["moved"] = 3
    assert thing.states(RUN_ID) == ["undone"]
    assert [(step.state, step.result) for step in by.steps()] == [("done", {"moved": 3})]


def test_an_undo_is_undone_and_the_change_is_in_force_again(thing):
    thing.change(RUN_ID, "new")
    thing.put_back(RUN_ID, by=UNDO)
    assert thing.value == "old"
    thing.put_back(UNDO, by=REDO)
    assert thing.value == "new"
    assert (thing.states(RUN_ID), thing.states(UNDO), thing.states(REDO)) == (["done"], ["undone"], ["done"])
    thing.put_back(RUN_ID, by=UNDO_AGAIN)
    assert thing.value == "old"


def test_an_undo_takes_itself_back(thing):
    thing.change(RUN_ID, "new")
    thing.put_back(RUN_ID, by=UNDO)
    thing.put_back(UNDO, by=UNDO)
    assert thing.value == "new"
    assert (thing.states(RUN_ID), thing.states(UNDO)) == (["done"], ["undone"])


def test_undoing_undos_leaves_every_journal_true(thing):
    """Each journal says of its change whether it is in force, however long the chain."""
    thing.change(RUN_ID, "new")
    chain = [RUN_ID, UNDO, REDO, UNDO_AGAIN, REDO_AGAIN]
    for length in range(1, len(chain)):
        thing.put_back(chain[length - 1], by=chain[length])
        assert thing.value == ("old" if length % 2 else "new")
        states = [thing.states(run_id) for run_id in chain[: length + 1]]
        expected = [["done"] if (length - position) % 2 == 0 else ["undone"] for position in range(length + 1)]
        assert states == expected, f"after {length} undos"


def test_several_changes_of_one_thing_come_back_in_reverse_both_ways(thing):
    for value in ("newer", "newest"):
        thing.change(RUN_ID, value)
    thing.put_back(RUN_ID, by=UNDO)
    assert thing.value == "old"
    assert thing.states(UNDO) == ["done", "done"]
    thing.put_back(UNDO, by=REDO)
    assert thing.value == "newest"
    assert thing.states(RUN_ID) == ["done", "done"]
    thing.put_back(RUN_ID, by=RUN_ID)
    assert thing.value == "old"


def test_a_putting_back_that_fails_is_to_be_repeated_and_to_be_undone(thing, state_dir):
    thing.change(RUN_ID, "new")
    journal, by = Journal(RUN_ID, state_dir), Journal(UNDO, state_dir)
    for _attempt in range(2):
        (step,) = journal.to_undo("application")
        announced = {"value": thing.value}
        thing.value = "half"
        with pytest.raises(OSError, match="full"), journal.reverting(step, by, announced):
            raise OSError("disk full")
    assert [(step.state, step.undo["value"]) for step in by.steps()] == [("failed", "new")]
    assert thing.states(RUN_ID) == ["done"]
    thing.put_back(RUN_ID, by=UNDO)
    assert (thing.value, thing.states(RUN_ID), thing.states(UNDO)) == ("old", ["undone"], ["done"])
    thing.put_back(UNDO, by=REDO)
    assert thing.value == "new"


def killed_at(point, torn, state_dir, run_id, by):
    """Put back in this process, which is killed at the ``point``-th place where something reaches the disk."""
    places = iter(range(point + 1))

    def place(tear=lambda: None):
        if next(places, None) == point:
            tear()
            os.kill(os.getpid(), signal.SIGKILL)

    append = journals.append_line

    def torn_line(path, line):
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(line[: len(line) // 2])

    def append_line(path, line):
        place((lambda: torn_line(path, line)) if torn else (lambda: None))
        append(path, line)
        place()

    class Dying(Thing):
        @property
        def value(self):
            return Thing.value.fget(self)

        @value.setter
        def value(self, value):
            place()
            Thing.value.fset(self, value)
            place()

    journals.append_line = append_line
    Dying(state_dir).put_back(run_id, by)


@pytest.mark.parametrize("torn", [False, True], ids=["killed", "power loss"])
@pytest.mark.parametrize(
    ("run_id", "by", "value", "points"),
    [(RUN_ID, RUN_ID, "old", 8), (RUN_ID, UNDO, "old", 16), (UNDO, REDO, "new", 20), (UNDO, UNDO, "new", 12)],
    ids=["itself", "by another run", "undo of an undo", "an undo itself"],
)
def test_killed_at_any_point_it_is_repeated_or_undone(tmp_path, run_id, by, value, points, torn):
    """Two changes are put back; ``points`` is the number of places at which that can be killed."""
    other = {"old": "new", "new": "old"}[value]
    for point in range(points + 1):
        for ending in ("repeated", "undone"):
            thing = Thing(str(tmp_path / f"{point}-{ending}"))
            thing.value = "old"
            thing.change(RUN_ID, "middle")
            thing.change(RUN_ID, "new")
            if run_id == UNDO:
                thing.put_back(RUN_ID, by=UNDO)
            process = FORK.Process(target=killed_at, args=(point, torn, thing.state_dir, run_id, by))
            process.start()
            process.join()
            assert process.exitcode == (0 if point == points else -signal.SIGKILL), f"at point {point} of {points}"
            if ending == "repeated":
                thing.put_back(run_id, by=by)
                assert thing.value == value, f"repeated after point {point}"
                assert set(thing.states(run_id)) == {"undone"}
                if run_id == UNDO:
                    assert set(thing.states(RUN_ID)) == {"done"}
                # What was repeated can still be undone by another run.
                if by != run_id:
                    thing.put_back(by, by=UNDO_AGAIN)
                    assert thing.value == other, f"repeated after point {point}, then undone"
            elif by != run_id:
                thing.put_back(by, by=UNDO_AGAIN)
                assert thing.value == other, f"undone after point {point}"
                assert Journal(by, thing.state_dir).to_undo("application") == []


def begin_many(ready, state_dir, name):
    ready.wait()
    for _number in range(20):
        Journal(RUN_ID, state_dir).begin("application", "switch", name, {"of": name})


def test_changes_announced_at_once_by_several_processes_are_all_there(state_dir):
    """Hosts that delegate to one host, and tasks that run in the background, share a journal."""
    ready = FORK.Barrier(4)
    processes = [FORK.Process(target=begin_many, args=(ready, state_dir, f"thing {number}")) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(Journal(RUN_ID, state_dir).steps()) == 80
