"""The process list of pm2: found in any surrounding text, never mistaken, and never repeated with its secrets."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2, parse
from hypothesis import given
from hypothesis import strategies as st

CANARY = "canary-7f3a"
ENTRY = {
    "name": "whatsapp-service",
    "pid": 42,
    "pm2_env": {"status": "online", "pm_cwd": "/srv/current", "restart_time": 3, "args": [], "SERVICE_TOKEN": CANARY},
}
LISTS = st.lists(st.sampled_from([ENTRY, {**ENTRY, "name": "other", "pid": None}]), max_size=3)
# What a starting daemon prints, and anything else: brackets included.
TEXTS = st.sampled_from(
    [
        "",
        "[PM2] Spawning PM2 daemon with pm2_home=/home/whatsapp/.pm2\n[PM2] PM2 Successfully daemonized\n",
        ">>>> [{ $ pm2 update\n",
    ]
) | st.text('[]{}"\\:,1 \nP').filter(lambda text: "[]" not in text.replace(" ", "").replace("\n", ""))


@given(TEXTS, LISTS.filter(bool), st.text())
def test_the_list_is_found_whatever_is_printed_around_it(before, entries, after):
    found = parse(before + json.dumps(entries) + after)
    assert [(process.name, process.pid) for process in found] == [(e["name"], e["pid"] or 0) for e in entries]


@given(st.sampled_from(["", "[PM2] Spawning PM2 daemon\n"]))
def test_an_empty_list_is_no_processes(before):
    assert parse(before + "[]") == []


@given(st.integers(0, len(json.dumps([ENTRY])) - 1))
def test_a_list_that_is_cut_off_is_an_error_and_shows_nothing(length):
    """Taken for "no processes" it would let the caller believe that a running writer is stopped."""
    with pytest.raises(RollbackError) as caught:
        parse(json.dumps([ENTRY])[:length])
    assert CANARY not in str(caught.value)


def test_no_secret_of_the_environment_is_kept():
    assert CANARY not in repr(parse(json.dumps([ENTRY])))


@pytest.mark.parametrize(
    ("statuses", "found"),
    [(["online"], "online"), (["stopped", "online"], "online"), (["errored", "waiting restart"], "waiting restart")],
)
def test_of_several_instances_one_that_runs_is_found(statuses, found):
    entries = [{**ENTRY, "pm2_env": {"status": status}} for status in statuses]
    pm2 = Pm2(lambda _argv: (0, json.dumps(entries), ""), "whatsapp", "/home")
    assert pm2.find("whatsapp-service").status == found
    assert pm2.find("other") is None


def test_an_error_of_pm2_shows_no_output():
    pm2 = Pm2(lambda _argv: (1, CANARY, CANARY), "whatsapp", "/home")
    with pytest.raises(RollbackError, match="exit status 1") as caught:
        pm2.processes()
    assert CANARY not in str(caught.value)


def test_the_saved_table_and_its_backup_are_closed_to_others(tmp_path):
    for name in ("dump.pm2", "dump.pm2.bak"):
        (tmp_path / name).write_text(CANARY)
        (tmp_path / name).chmod(0o644)
    Pm2(lambda _argv: (0, "", ""), "whatsapp", str(tmp_path)).save(str(tmp_path))
    assert {os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)} == {0o600}
