"""Every module that changes a host on behalf of a run refuses a stale lease number before it changes anything.

Modules are discovered by their options, so that a new one cannot be forgotten: it fails here until it has a case.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import pwd

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import fences
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

ROOT = pathlib.Path(__file__).parents[4]
RUN_ID, UNDO = "20261121T174500Z", "20261121T180000Z"
#: Take a run id and hand numbers out instead of being bound by them.
EXEMPT = {"run_lease", "run_open"}
USER = pwd.getpwuid(os.geteuid()).pw_name
LINKED = {
    "me": {"id": "1@s"},
    "registrationId": 7,
    "noiseKey": {"k": 1},
    "signedIdentityKey": {"k": 2},
    "account": {"k": 3},
}
PM2 = {"name": "whatsapp-service", "user": USER, "home": "{tmp}", "ecosystem": "/srv/eco.config.js"}
#: A socket without a server: whoever looks for the database before the fence gets another error.
DATABASE = {"schema": "blazz", "login_unix_socket": "{tmp}/no.sock"}
MIGRATION = {"name": "2025_x", "path": "{tmp}/2025_x.php", "batch": 1}
REHEARSAL = {"schema": "blazz__verify_x", "account": "rollback_x", "password": "x", "batch": 1}

FRONTEND = {"path": "{tmp}", "repository": "{tmp}/repo.git", "builds": "{tmp}/builds"}

#: For each module the arguments with which it has something to change, in each of its states that changes.
CASES = {
    "artisan": [{"path": "{tmp}", "user": USER, "commands": ["config:cache"], "environment": "{tmp}/copy.env"}],
    "checkout_switch": [
        {
            "path": "{tmp}/app",
            "commit": "HEAD",
            "prepared": "{tmp}/app.rollback/x",
            "component": "c",
            "state": "prepared",
        },
        {"path": "{tmp}/app", "commit": "HEAD~1", "prepared": "{tmp}/prepared", "component": "application"},
        {"component": "application", "state": "reverted"},
    ],
    "database_backup": [{**DATABASE, "dest": "{tmp}/new/blazz"}],
    "database_load": [
        {**DATABASE, "src": "{tmp}/blazz.sql"},
        {**DATABASE, "src": "{tmp}/blazz.sql", "in_place": True, "undo_src": "{tmp}/undo.sql"},
        {**DATABASE, "schema": "blazz__shadow_x", "state": "absent"},
        {**DATABASE, "state": "reverted"},
    ],
    "database_recover": [
        {**DATABASE, "source": "blazz__attic_x"},
        {**DATABASE, "state": "reverted"},
    ],
    "database_swap": [
        {**DATABASE, "shadow": "blazz__shadow_x", "attic": "blazz__attic_x"},
        {**DATABASE, "state": "reverted"},
    ],
    "env_file": [
        {"path": "{tmp}/live.env", "copy": "{tmp}/new/copy.env", "state": "captured"},
        {"path": "{tmp}/live.env", "copy": "{tmp}/copy.env", "state": "restored"},
        {"path": "{tmp}/live.env", "copy": "{tmp}/copy.env", "dest": "{tmp}/new/merged.env", "state": "merged"},
        {"path": "{tmp}/live.env", "state": "reverted"},
    ],
    "frontend_build": [
        {**FRONTEND, "state": "kept"},
        {**FRONTEND, "state": "staged", "commit": "1"},
        {**FRONTEND, "state": "switched"},
        {**FRONTEND, "state": "reverted"},
    ],
    "gate": [{"flag": "{tmp}/gate/closed", "state": "closed"}, {"flag": "{tmp}/shut/closed", "state": "open"}],
    "gate_hold": [
        {"directory": "{tmp}/gate", "paths": ["^/x"]},
        {"directory": "{tmp}/shut", "state": "reverted"},
    ],
    "login_sessions": [
        {"redis": {"database": 0, "pattern": "campaign_cache:*"}, "state": "ended"},
        {"redis": {"database": 0, "pattern": "campaign_cache:*"}, "state": "reverted"},
        {"table": {"schema": "blazz"}, "login_unix_socket": "{tmp}/no.sock", "state": "ended"},
    ],
    "migration_protection": [
        {**DATABASE, "shadow": "blazz__shadow_x", "attic": "blazz__attic_x"},
        {**DATABASE, "state": "confirmed"},
        {**DATABASE, "state": "reverted"},
    ],
    "migration_rehearsal": [
        {**DATABASE, "copy": "blazz__verify_x", "password": "x"},
        {**DATABASE, "copy": "blazz__verify_x", "state": "absent"},
    ],
    "migration_rollback": [
        {"path": "{tmp}", "user": USER, "migrations": [MIGRATION], "state": "rehearsed", "rehearsal": REHEARSAL},
        {"path": "{tmp}", "user": USER, "migrations": [MIGRATION], "state": "reversed"},
        {"state": "reverted"},
    ],
    "path_switch": [
        {"path": "{tmp}/current", "target": "releases/v1", "component": "application"},
        {"component": "application", "state": "reverted"},
    ],
    "release_files": [{"path": "{tmp}", "repository": "{tmp}/repo.git", "commit": "0" * 40, "files": ["app"]}],
    "run_record": [{"fields": {"kind": "rollback", "state": "failed"}}],
    "service_group": [
        {"writers": ["campaign-worker.service"], "pm2": PM2, "state": "held"},
        {"reload": ["nginx"], "queue": {"keys": ["campaign_queues:default"]}, "state": "switched"},
        {"cache": {"database": 1, "pattern": "campaign_*"}, "queue": {"keys": ["q"]}, "state": "reverted"},
        {"writers": ["campaign-worker.service"], "pm2": PM2, "state": "resumed"},
    ],
    "session_folder": [
        {"path": "{tmp}/sessions", "accounts": ["sales"], "copies": "{tmp}/new", "state": "captured"},
        {"path": "{tmp}/sessions", "accounts": ["broken"], "copies": "{tmp}/copies", "state": "restored"},
        {"path": "{tmp}/sessions", "accounts": ["sales"], "state": "reverted"},
    ],
    # Nobody listens there, so it has to be started again.
    "session_restart": [
        {
            "path": "{tmp}/sessions",
            "accounts": ["sales"],
            "api": {"status_url": "http://127.0.0.1:1/", "status_path": "state", "connected": ["connected"]},
            "pm2": PM2,
        }
    ],
}


class Asked(Exception):
    """A module was asked for its options, and goes no further."""


def options_of(name):
    """Argument specification that a module really uses."""
    module = importlib.import_module(f"ansible_collections.campaign.rollback.plugins.modules.{name}")
    seen = {}

    def record(argument_spec, **_options):
        seen.update(argument_spec)
        raise Asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AnsibleModule", record)
        with pytest.raises(Asked):
            module.main()
    return seen


def discovered():
    """Modules that change a host on behalf of a run."""
    # What runs on the controller has no host to change.
    actions = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
    names = sorted({path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - actions)
    asked = [name for name in names if name not in EXEMPT and not name.endswith("_info")]
    return [name for name in asked if "run_id" in options_of(name)]


MODULES = discovered()


def filled(value, tmp_path):
    """``value`` with ``{tmp}`` replaced wherever it occurs."""
    return json.loads(json.dumps(value).replace("{tmp}", str(tmp_path)))


@pytest.fixture
def host(tmp_path, state_dir):
    """A host with something of each kind, changed by a run, and then held by lease number 5."""
    for name in (
        "releases/v1",
        "releases/v2",
        "gate",
        "shut",
        "sessions/sales",
        "sessions/broken",
        "copies/broken/1",
        "releases/v2/public/build",
    ):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "releases" / "v2" / "REVISION").write_text("2\n")
    for name in (RUN_ID, "1"):
        (tmp_path / "builds" / name).mkdir(parents=True)
        (tmp_path / "builds" / name / "manifest.json").write_text("{}")
    (tmp_path / "current").symlink_to("releases/v2")
    (tmp_path / "app" / ".git").mkdir(parents=True)
    (tmp_path / "shut" / "hold.conf").write_text("set $x 1;")
    (tmp_path / "shut" / "closed").write_text(f"{RUN_ID}\n")
    (tmp_path / "live.env").write_text("APP_ENV=new\n")
    (tmp_path / "copy.env").write_text("APP_ENV=old\n")
    for name in ("sessions/sales", "copies/broken/1"):
        (tmp_path / name / "creds.json").write_text(json.dumps(LINKED))
    (tmp_path / "sessions" / "broken" / "creds.json").write_text("{")
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "creds.json").write_text("{")
    journal = Journal(RUN_ID, state_dir, 4)
    for component, name, undo in (
        ("application", str(tmp_path / "current"), {"path": str(tmp_path / "current"), "target": "releases/v1"}),
        ("env_restore", str(tmp_path / "live.env"), {"path": str(tmp_path / "live.env"), "source": "{tmp}/copy.env"}),
        ("whatsapp_session", "sales", {"path": str(tmp_path / "sessions" / "sales"), "kept": str(kept)}),
        ("gate", "{tmp}/shut/hold.conf", {"path": "{tmp}/shut/hold.conf", "source": ""}),
        ("services", "queue", {"database": 0, "keys": ["q"], "aside": "rollback:x:"}),
        ("login_sessions", "store", {"aside": "rollback:x:"}),
    ):
        journal.begin(component, "switch", filled(name, tmp_path), filled(undo, tmp_path))
    fences.announce(state_dir, 5, 0)
    return state_dir


@pytest.fixture
def executed(monkeypatch):
    """Programs that a module ran."""
    calls = []

    def run_command(_self, argv, **_options):
        calls.append(argv)
        return 0, "[]", ""

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return calls


def test_every_module_that_acts_for_a_run_has_a_case():
    assert sorted(CASES) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_the_number_is_an_option(name):
    options = options_of(name)
    assert options["fencing"] == {"type": "int", "default": 0}
    if "reverted" in options.get("state", {}).get("choices", []):
        assert options["reverts"] == {"type": "str"}


EACH = [
    pytest.param(name, case, id=f"{name} {case.get('state', '')}{number}")
    for name, cases in sorted(CASES.items())
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize("fencing", [{"fencing": 4}, {}], ids=["stale", "none"])
@pytest.mark.parametrize(("name", "case"), EACH)
def test_a_stale_number_changes_and_runs_nothing(name, case, fencing, host, executed, untouched, run_module, tmp_path):
    arguments = {**filled(case, tmp_path), "run_id": RUN_ID, "state_dir": host, **fencing}
    with untouched():
        result = run_module(name, arguments, fails=True)
    assert f"lease number {fencing.get('fencing', 0)}, the newest is 5" in result["msg"]
    assert executed == []


@pytest.mark.parametrize(
    ("name", "case"), [case for case in EACH if case.values[1].get("state") in ("reverted", "open")]
)
def test_an_undo_by_another_run_is_bound_by_its_own_number(name, case, host, executed, untouched, run_module, tmp_path):
    arguments = {**filled(case, tmp_path), "run_id": UNDO, "reverts": RUN_ID, "state_dir": host, "fencing": 4}
    with untouched():
        result = run_module(name, arguments, fails=True)
    assert "lease number 4, the newest is 5" in result["msg"]
    assert executed == []


@pytest.mark.parametrize(("name", "case"), EACH)
def test_every_case_has_something_to_change(name, case, host, executed, untouched, run_module, tmp_path, monkeypatch):
    """Otherwise the refusals above would prove nothing; and the number that counts is the one that was given."""

    def acting(journal):
        assert (journal.run_id, journal.fencing) == (RUN_ID, 5)
        raise Asked

    monkeypatch.setattr(Journal, "acting", acting)
    arguments = {**filled(case, tmp_path), "run_id": RUN_ID, "state_dir": host, "fencing": 5}
    with untouched(), pytest.raises(Asked):
        run_module(name, arguments)
    assert executed == []
