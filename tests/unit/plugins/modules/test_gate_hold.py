"""gate_hold for real: what is held back after a run, put back by undo, and never with a secret in a journal."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
SECRET, OTHER = "secret-of-a-test", "another-secret"


@pytest.fixture
def nginx(monkeypatch):
    """Programs that were run; ``accepts`` says whether nginx likes its configuration."""

    class Nginx:
        accepts, calls = True, []

    def run_command(_self, argv, **_options):
        nginx.calls.append(argv)
        return (0 if nginx.accepts else 1), "", "nginx: [emerg] unknown directive"

    nginx = Nginx()
    nginx.calls = []
    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return nginx


@pytest.fixture
def arguments(tmp_path, state_dir, nginx):
    (tmp_path / "gate").mkdir()
    given = {"directory": str(tmp_path / "gate"), "run_id": RUN_ID, "state_dir": state_dir, "secret": SECRET}
    return {**given, "paths": ["^/api/campaigns/hybrid", "^/old$"]}


@pytest.fixture
def held(tmp_path):
    """Text of what is held back, empty if nothing is."""
    path = tmp_path / "gate" / "hold.conf"
    return lambda: path.read_text() if path.exists() else ""


def test_paths_are_held_back_and_let_in_again(arguments, run_module, untouched, held, nginx, tmp_path):
    with untouched():
        predicted = run_module("gate_hold", arguments, check=True)
    assert run_module("gate_hold", arguments) == predicted
    assert (predicted["changed"], predicted["held"]) == (True, True)
    text = held()
    assert 'if ($uri ~ "^/api/campaigns/hybrid|^/old$") {' in text
    assert f'if ($http_x_rollback_validation = "{SECRET}") {{' in text
    assert "add_header Retry-After 30 always;" in text
    assert (tmp_path / "gate" / "hold.conf").stat().st_mode & 0o777 == 0o600
    assert nginx.calls == [["nginx", "-t", "-q"], ["systemctl", "reload-or-restart", "nginx.service"]]
    with untouched():
        assert run_module("gate_hold", arguments)["changed"] is False
    nginx.calls.clear()
    assert run_module("gate_hold", {**arguments, "state": "reverted"})["held"] is False
    assert held() == ""
    assert len(nginx.calls) == 2
    assert run_module("gate_hold", {**arguments, "state": "reverted"})["changed"] is False


def test_an_undo_brings_back_what_an_earlier_run_held_with_a_secret_of_its_own(arguments, run_module, held):
    run_module("gate_hold", arguments)
    later = {**arguments, "run_id": UNDO, "secret": OTHER}
    run_module("gate_hold", {**later, "paths": []})
    assert held() == ""
    back = {**later, "run_id": REDO, "reverts": UNDO, "state": "reverted"}
    predicted = run_module("gate_hold", back, check=True)
    assert run_module("gate_hold", back) == predicted
    assert predicted["held"] is True
    assert "^/api/campaigns/hybrid" in held()
    assert (SECRET in held(), OTHER in held()) == (False, True)


def test_no_secret_reaches_a_journal(arguments, run_module, state_dir):
    run_module("gate_hold", arguments)
    run_module("gate_hold", {**arguments, "secret": OTHER})
    journal = Journal(RUN_ID, state_dir)
    assert len(journal.steps("gate")) == 2
    assert SECRET not in journal.text()


def test_what_nginx_does_not_accept_is_taken_out_again(arguments, run_module, held, nginx):
    nginx.accepts = False
    failed = run_module("gate_hold", arguments, fails=True)
    assert "nginx does not accept what is to be held back" in failed["msg"]
    assert held() == ""
    assert nginx.calls == [["nginx", "-t", "-q"]]
    nginx.accepts = True
    assert run_module("gate_hold", {**arguments, "state": "reverted"})["held"] is False


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("pattern", ["(", '^/a"b', "^/$uri", "^/a b"])
def test_a_pattern_that_nginx_would_misread_is_refused(arguments, run_module, untouched, pattern, check):
    with untouched():
        assert pattern in run_module("gate_hold", {**arguments, "paths": [pattern]}, check=check, fails=True)["msg"]


def test_a_gate_that_was_never_installed_is_refused(arguments, run_module, tmp_path):
    arguments["directory"] = str(tmp_path / "none")
    assert "There is no directory of the gate" in run_module("gate_hold", arguments, fails=True)["msg"]
