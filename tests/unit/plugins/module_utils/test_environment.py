"""Environment files: keys may be told, values never; restore keeps owner, mode and what it replaces."""

from __future__ import annotations

import os
import string

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import environment
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import example, given
from hypothesis import strategies as st

# Every way in which a part of a value could be taken for a key of its own.
HOSTILE = [
    'KEY="-----BEGIN CANARY BLOCK-----\nCANARY1=\nCANARY2==\n-----END CANARY BLOCK-----"',
    "KEY='first\nCANARY=second'",
    'KEY="escaped \\" quote\nCANARY=second"',
    "KEY=left\x0cCANARY=right",
    "KEY=left\x85CANARY=right",
    "KEY=left\u2028CANARY=right",
    "KEY=left\rCANARY=right",
    "export KEY=CANARY=CANARY",
    "  KEY  =  CANARY  # CANARY=1",
    "# CANARY=1\nKEY=1",
    "KEY=1\nCANARY with blanks=1",
    "KEY=1\nCANARY+/base64==",
    'KEY="never closed\nCANARY=1',
    "KEY=CANARY\udcff",
]
NAMES = st.text(string.ascii_uppercase + "_", min_size=1, max_size=8).filter(lambda name: name != "EXPORT")
PLAIN_VALUES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20).filter(
    lambda value: not value.strip().startswith(("'", '"'))
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_part_of_a_value_is_ever_shown(text):
    assert list(environment.parse(text)) == ["KEY"]
    shown = repr((environment.masked(text, "KEY=other"), environment.difference(text, "OTHER=1")))
    assert "CANARY" not in shown
    assert "KEY" in shown


@given(st.dictionaries(NAMES, PLAIN_VALUES, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_parsed(values, ending):
    text = "".join(f"{key}={value}{ending}" for key, value in values.items())
    assert environment.parse(text) == {key: value.strip() for key, value in values.items()}


@given(st.dictionaries(NAMES, st.text("ab'\n= ", max_size=12), max_size=5))
def test_quoted_values_over_several_lines_are_parsed(values):
    text = "".join(f'{key}="{value}"\n' for key, value in values.items())
    assert environment.parse(text) == {key: f'"{value}"' for key, value in values.items()}


@given(st.text(), st.text())
@example("\udcff=\udcff", "A=\udcff")
def test_any_text_can_be_compared(live, wanted):
    difference = environment.difference(live, wanted)
    assert environment.difference(live, live) == {"added": [], "removed": [], "changed": []}
    back = environment.difference(wanted, live)
    assert (difference["added"], difference["changed"]) == (back["removed"], back["changed"])
    for names in difference.values():
        assert all(name.isascii() for name in names)


def test_masks_say_what_differs():
    before, after = environment.masked("A=1\nB=2\nC=3\n", "A=1\nB=9\nD=4\n")
    assert before == "A=<unchanged>\nB=<before>\nC=<before>\n"
    assert after == "A=<unchanged>\nB=<after>\nD=<after>\n"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("redis", "redis"),
        ('"redis"', "redis"),
        ("'redis'", "redis"),
        ("0 # queue", "0"),
        ('"a # b" # c', "a # b"),
        ("", ""),
    ],
)
def test_plain_is_what_the_application_reads(raw, value):
    assert environment.plain(raw) == value


@pytest.fixture
def live(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"APP=new\xff\n")
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 12345, 23456)
    return path


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "copy"
    path.write_bytes(b"APP=old\xfe\n")
    path.chmod(0o600)
    return path


def identity(path):
    status = os.stat(path)
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


def test_restore_and_revert_keep_owner_and_mode(journal, live, copy):
    before = identity(live)
    environment.restore(journal, str(live), environment.read(str(copy)))
    assert live.read_bytes() == copy.read_bytes()
    assert identity(live) == before
    environment.revert(journal, journal, str(live))
    assert live.read_bytes() == b"APP=new\xff\n"
    assert identity(live) == before


def kept(journal):
    root = os.path.join(journal.directory, "replaced", environment.COMPONENT)
    found = []
    for name in sorted(os.listdir(root)):
        assert os.stat(os.path.join(root, name)).st_mode & 0o777 == 0o600
        with open(os.path.join(root, name), "rb") as stream:
            found.append(stream.read())
    return found


def test_what_is_replaced_is_on_disk_before_it_is_replaced(journal, live, copy, durability):
    environment.restore(journal, str(live), environment.read(str(copy)))
    replaced = next(index for index, event in enumerate(durability) if event[0] == "rename" and event[2] == str(live))
    keeping = next(index for index, event in enumerate(durability) if event[0] == "rename" and "/replaced/" in event[2])
    announced = durability.index(("fsync", journal.path))
    assert keeping < announced < replaced


def test_nothing_that_was_replaced_is_lost_by_restoring_again(journal, live, copy):
    environment.restore(journal, str(live), environment.read(str(copy)))
    live.write_bytes(b"APP=edited by hand\n")
    environment.restore(journal, str(live), environment.read(str(copy)))
    assert kept(journal) == [b"APP=new\xff\n", b"APP=edited by hand\n"]
    environment.revert(journal, journal, str(live))
    assert live.read_bytes() == b"APP=new\xff\n", "undo ends at what was there before the run"


def test_undo_is_idempotent_and_keeps_what_it_replaces(journal, live, copy):
    environment.restore(journal, str(live), environment.read(str(copy)))
    live.write_bytes(b"APP=edited by hand\n")
    assert environment.revert(journal, journal, str(live)) is True
    assert environment.revert(journal, journal, str(live)) is False
    assert b"APP=edited by hand\n" in kept(journal)


def test_undo_that_was_killed_can_be_repeated(journal, live, copy, monkeypatch):
    environment.restore(journal, str(live), environment.read(str(copy)))

    def killed(_journal, _seq):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(journal), "undone", killed)
        with pytest.raises(KeyboardInterrupt):
            environment.revert(journal, journal, str(live))
    assert environment.revert(journal, journal, str(live)) is True
    assert live.read_bytes() == b"APP=new\xff\n"
    assert b"APP=old\xfe\n" in kept(journal)


def test_a_link_to_the_file_stays_a_link(journal, live, copy, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(live)
    environment.restore(journal, str(link), environment.read(str(copy)))
    assert link.is_symlink()
    assert live.read_bytes() == copy.read_bytes()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RollbackError, match=str(tmp_path)):
        environment.read(str(tmp_path / "none"))
