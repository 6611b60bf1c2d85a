"""Two end states of a system: what differs is said, what is gone is counted."""

from __future__ import annotations

import digest

STATE = {"web1": {"gate": "open", "places": {"/srv": ["current"]}}, "data1": {"lease": "free", "leftovers": []}}


def test_equal_states_do_not_differ():
    assert digest.differences(STATE, {host: dict(found) for host, found in STATE.items()}) == []


def test_a_difference_names_host_and_thing():
    found = {**STATE, "web1": {"gate": "closed", "places": {"/srv": ["current"]}}}
    assert digest.differences(STATE, found) == ["web1.gate: closed instead of open"]


def test_what_is_only_on_one_side_differs():
    found = {**STATE, "data1": {"leftovers": ["blazz__shadow_x"]}}
    assert digest.differences(STATE, found) == [
        "data1.lease: nothing instead of free",
        "data1.leftovers: ['blazz__shadow_x'] instead of []",
    ]


def test_rows_are_lost_by_key_and_new_ones_do_not_make_up_for_them():
    wanted = {"campaigns": ["1", "2"], "contacts": ["1"]}
    assert digest.lost_rows(wanted, {"campaigns": ["2", "3", "4"], "contacts": ["1"]}) == 1
    assert digest.lost_rows(wanted, {}) == 3
