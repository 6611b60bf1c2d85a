"""systemd units and the gate, from recorded text."""

from __future__ import annotations

import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import gates, units
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

SHOWN = """MainPID=120
Id=nginx.service
LoadState=loaded
ActiveState=active

MainPID=0
Id=gone.service
LoadState=not-found
ActiveState=inactive
"""


def test_units_are_read_in_the_order_asked():
    assert units.parse(SHOWN, ["nginx", "gone"]) == {
        "nginx": {"exists": True, "active": True, "pid": 120},
        "gone": {"exists": False, "active": False, "pid": 0},
    }


@pytest.mark.parametrize("asked", [["nginx"], ["nginx", "gone", "silent"]])
def test_a_unit_without_an_answer_is_an_error(asked):
    with pytest.raises(RollbackError, match="every unit"):
        units.parse(SHOWN, asked)


SOCKETS = """Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000002 00000000 00010000 0001 01 111 /run/php/php8.2-fpm.sock
0000: 00000003 00000000 00000000 0001 03 112 /run/php/php8.2-fpm.sock
0000: 00000003 00000000 00000000 0001 03 113 /run/php/other.sock
0000: 00000003 00000000 00000000 0001 03 114
0000: 00000003 00000000 00000000 0001 03 115 /run/php/php8.2-fpm.sock
"""


def test_requests_under_way_are_accepted_connections_of_that_socket():
    assert gates.connected(SOCKETS, "/run/php/php8.2-fpm.sock") == 2
    assert gates.connected(SOCKETS, "/run/php") == 0
    assert gates.connected("", "/run/php") == 0


def test_draining_ends_when_nothing_is_under_way_and_at_its_time(monkeypatch):
    answers = [2, 1, 0]
    monkeypatch.setattr(gates, "connected", lambda _table, _socket: answers.pop(0) if answers else 0)
    assert gates.drain("/run/x.sock", 5) == 0
    monkeypatch.setattr(gates, "connected", lambda _table, _socket: 3)
    assert gates.drain("/run/x.sock", 0.05) == 3


def test_a_closed_gate_is_visible_to_nginx_and_says_who_closed_it(tmp_path, journal, durability):
    flag = str(tmp_path / "closed")
    gates.close(journal, flag)
    assert gates.holder(flag) == journal.run_id
    assert os.stat(flag).st_mode & 0o777 == 0o644
    assert ("fsync", str(tmp_path)) in durability
    assert [step.name for step in journal.to_undo("gate")] == [flag]
    gates.open_gate(journal, journal, flag)
    gates.open_gate(journal, journal, flag)
    assert gates.holder(flag) == ""
    assert journal.to_undo("gate") == []


def test_an_undo_opens_the_gate_that_a_killed_run_left_closed(tmp_path, state_dir, journal):
    flag = str(tmp_path / "closed")
    gates.close(journal, flag)
    undo = Journal("20261121T180000Z", state_dir)
    gates.close(undo, flag)
    assert gates.holder(flag) == undo.run_id
    gates.open_gate(journal, undo, flag)
    assert gates.holder(flag) == ""
    assert journal.to_undo("gate") == undo.to_undo("gate") == []


def test_a_gate_that_nginx_does_not_look_for_is_not_closed(tmp_path, journal):
    with pytest.raises(RollbackError, match="no directory"):
        gates.close(journal, str(tmp_path / "none" / "closed"))
    assert journal.steps() == []
