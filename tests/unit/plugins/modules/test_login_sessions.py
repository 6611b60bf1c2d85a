"""login_sessions with a Redis that answers by script: what is asked, in which order, and what is told."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import log_ins
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO = "20261121T174500Z", "20261121T180000Z"
ASIDE = f"rollback:{RUN_ID}:log-in:"
COUNT = (log_ins.COUNT, "0", "c:*")


@pytest.fixture
def redis(monkeypatch):
    """Calls of redis-cli, and the numbers that it answers with."""
    calls, answers = [], []

    def run_command(_self, argv, **_options):
        assert argv[:4] == ["redis-cli", "-n", "0", "EVAL"]
        calls.append(tuple(argv[4:]))
        return 0, f"{answers.pop(0)}\n", ""

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return calls, answers


@pytest.fixture
def arguments(state_dir):
    return {"run_id": RUN_ID, "state_dir": state_dir, "redis": {"database": 0, "pattern": "c:*"}}


def test_end_and_back_by_another_run(arguments, run_module, redis, state_dir):
    calls, answers = redis
    answers += [3, 3, 0]
    ended = run_module("login_sessions", {**arguments, "state": "ended"})
    assert {key: ended[key] for key in ("changed", "before", "after", "moved")} == {
        "changed": True,
        "before": 3,
        "after": 0,
        "moved": 3,
    }
    assert calls == [COUNT, (log_ins.SET_ASIDE, "0", "c:*", ASIDE), COUNT]
    calls.clear()
    answers += [1, 3, 4]
    back = {**arguments, "run_id": UNDO, "reverts": RUN_ID, "state": "reverted"}
    assert run_module("login_sessions", back)["moved"] == 3
    assert calls == [COUNT, (log_ins.PUT_BACK, "0", ASIDE + "*", ASIDE), COUNT]
    assert [step.state for step in Journal(RUN_ID, state_dir).steps()] == ["undone"]


@pytest.mark.parametrize("state", ["counted", "ended"])
def test_check_mode_only_counts(arguments, run_module, redis, state, untouched):
    calls, answers = redis
    answers += [3, 3]
    with untouched():
        found = run_module("login_sessions", {**arguments, "state": state}, check=True)
    assert (found["changed"], found["moved"], calls) == (state == "ended", 0, [COUNT, COUNT])


def test_check_mode_tells_whether_there_is_something_to_bring_back(arguments, run_module, redis):
    _calls, answers = redis
    back = {**arguments, "run_id": UNDO, "reverts": RUN_ID, "state": "reverted"}
    answers += [3, 3, 0]
    run_module("login_sessions", {**arguments, "state": "ended"})
    for there in (True, False):
        answers += [0, 0]
        assert run_module("login_sessions", back, check=True)["changed"] is there
        answers += [0, 3 if there else 0, 3]
        if there:
            run_module("login_sessions", back)


@pytest.mark.parametrize("check", [True, False])
def test_a_run_that_ended_none_is_refused(arguments, run_module, redis, untouched, check):
    back = {**arguments, "run_id": UNDO, "reverts": RUN_ID, "state": "reverted"}
    with untouched():
        assert "ended no log-ins" in run_module("login_sessions", back, check=check, fails=True)["msg"]
    assert redis[0] == []
