"""The module migration_rollback: which files it reads, where it connects to, and that check mode runs nothing."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID = "20261121T174500Z"
NAME = "2025_11_10_000000_add_kind"
SOURCE = """<?php
return new class extends Illuminate\\Database\\Migrations\\Migration {
    protected $connection = 'main';
    public function up(): void { Schema::table('t', fn ($t) => $t->dropColumn('old')); }
    public function down(): void {
        Schema::table('t', fn ($t) => $t->dropColumn('kind'));
        DB::statement('ANALYZE TABLE t');
    }
};
"""
COPY = {"schema": "blazz__verify_x", "account": "rollback_x", "password": "Secret-1", "batch": 123456789}


@pytest.fixture
def release(tmp_path):
    path = tmp_path / "release"
    (path / "database" / "migrations").mkdir(parents=True)
    (path / "database" / "migrations" / f"{NAME}.php").write_text(SOURCE)
    (path / ".env").write_text('DB_CONNECTION="main"\n')
    return path


@pytest.fixture
def arguments(release, state_dir):
    path = str(release / "database" / "migrations" / f"{NAME}.php")
    return {
        "run_id": RUN_ID,
        "state_dir": state_dir,
        "path": str(release),
        "migrations": [{"name": NAME, "path": path, "batch": 2}],
    }


@pytest.fixture
def executed(monkeypatch, release):
    """Commands of artisan with their environment; answers as an application that follows it."""
    calls = []

    def run_command(_self, argv, cwd=None, umask=None, environ_update=None):
        assert (cwd, umask) == (str(release), 0o027)
        command = argv[argv.index("artisan") + 1]
        calls.append((command, environ_update.get("DB_DATABASE", "live")))
        batch = COPY["batch"] if run_command.follows and "DB_DATABASE" in environ_update else 2
        return 0, f"  {NAME} .... [{batch}] Ran\n" if command == "migrate:status" else f"Rolled back: {NAME}\n", ""

    run_command.calls, run_command.follows = calls, True
    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return run_command


def test_the_plan_says_everything_about_each_migration(arguments, release, executed, run_module, untouched):
    with untouched():
        found = run_module(
            "migration_rollback", {**arguments, "state": "planned", "migrations": [{"name": NAME, "batch": 2}]}
        )
    assert found["migrations"] == arguments["migrations"]
    assert found["refusals"] == [
        f"{NAME}: {found['lossy'][0].split(': ', 1)[1]}: what was lost then cannot be brought back"
    ]
    assert found["lossy"] == [f"{NAME}: up() drops column t.old, line 4"]
    assert found["notes"] == [f"{NAME}: down() DB::statement(ANALYZE TABLE t), line 7: unknown"]
    assert found["drops"] == [{"table": "t", "column": "kind"}]
    assert (found["tables"], found["whole"]) == (["t"], True)
    accepted = run_module("migration_rollback", {**arguments, "state": "planned", "accept_lossy": [NAME]})
    assert (accepted["refusals"], accepted["lossy"]) == ([], found["lossy"])
    (release / ".env").unlink()
    other = run_module("migration_rollback", {**arguments, "state": "planned", "accept_lossy": [NAME]})
    assert "a connection of its own" in other["refusals"][0]
    assert executed.calls == []


def test_a_rehearsal_proves_both_connections_before_it_runs_anything(arguments, executed, run_module):
    found = run_module("migration_rollback", {**arguments, "state": "rehearsed", "rehearsal": COPY})
    assert executed.calls == [
        ("migrate:status", "live"),
        ("migrate:status", COPY["schema"]),
        ("migrate:rollback", COPY["schema"]),
    ]
    assert list(found["seconds"]) == [NAME]
    assert COPY["password"] not in str(found)


def test_an_application_that_stays_with_its_own_database_is_not_rehearsed_with(arguments, executed, run_module):
    executed.follows = False
    found = run_module("migration_rollback", {**arguments, "state": "rehearsed", "rehearsal": COPY}, fails=True)
    assert "not connected to the schema that is meant" in found["msg"]
    assert "migrate:rollback" not in [command for command, _schema in executed.calls]


def test_an_application_of_another_database_is_found_out(arguments, executed, run_module):
    arguments["migrations"][0]["batch"] = 3
    run_module("migration_rollback", {**arguments, "state": "rehearsed", "rehearsal": COPY}, fails=True)
    assert executed.calls == [("migrate:status", "live")]


def test_live_migrations_run_where_the_application_is(arguments, executed, run_module, state_dir):
    found = run_module("migration_rollback", {**arguments, "state": "reversed"})
    assert executed.calls == [("migrate:rollback", "live")]
    assert (found["changed"], list(found["seconds"])) == (True, [NAME])
    assert [step.state for step in Journal(RUN_ID, state_dir).steps()] == ["done"]
    undone = run_module("migration_rollback", {**arguments, "state": "reverted"})
    assert undone["reverted"] == [NAME]
    assert [step.state for step in Journal(RUN_ID, state_dir).steps()] == ["undone"]
    assert run_module("migration_rollback", {**arguments, "state": "reverted"})["changed"] is False


@pytest.mark.parametrize("state", ["planned", "rehearsed", "reversed", "reverted"])
def test_check_mode_runs_and_writes_nothing(arguments, executed, run_module, untouched, state):
    with untouched():
        found = run_module("migration_rollback", {**arguments, "state": state, "rehearsal": COPY}, check=True)
    assert found["changed"] is (state in ("rehearsed", "reversed"))
    assert executed.calls == []


@pytest.mark.parametrize("state", ["rehearsed", "reversed"])
def test_nothing_to_reverse_is_nothing_to_do(arguments, executed, run_module, untouched, state):
    with untouched():
        found = run_module("migration_rollback", {**arguments, "state": "reversed", "migrations": []})
    assert (found["changed"], found["seconds"], executed.calls) == (False, {}, [])
