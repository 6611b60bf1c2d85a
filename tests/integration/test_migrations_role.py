"""The role database with the strategy migrations: plan, rehearsal, switch, undo, and a web host that is gone.

A stand-in answers for artisan's command line alone; everything that it does to the database is real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    existing_schemas,
    schema_info,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import differences
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from conftest import ROOT, RUN_ID

OLD, NEW = "2021_01_01_create_campaigns", "2025_11_10_000000_add_kind"
COPY, SHADOW = f"blazz__verify_{RUN_ID}", f"blazz__shadow_{RUN_ID}"

# What down() does stands in the file as SQL, for the stand-in to run.
MIGRATION = """<?php
return new class extends Illuminate\\Database\\Migrations\\Migration {
    public function up(): void { Schema::table('campaigns', fn ($t) => $t->string('kind')); }
    public function down(): void {
        Schema::drop('options');
        Schema::table('campaigns', fn ($t) => $t->dropColumn('kind'));
    }
};
// SQL: DROP TABLE options
// SQL: ALTER TABLE campaigns DROP COLUMN kind
"""

STAND_IN = """#!{python}
import os, re, sys, pymysql
sys.excepthook = lambda _kind, error, _trace: print(error, file=sys.stderr)
command = sys.argv[2]
paths = [a.split("=", 1)[1] for a in sys.argv if a.startswith("--path=")]
who = {{"user": os.environ.get("DB_USERNAME", "{user}"), "password": os.environ.get("DB_PASSWORD", "")}}
db = pymysql.connect(unix_socket="{socket}", database=os.environ.get("DB_DATABASE", "blazz"), autocommit=True, **who)
cursor = db.cursor()
cursor.execute("SELECT migration, batch FROM migrations")
ran = dict(cursor.fetchall())
for path in paths:
    name = os.path.basename(path)[:-4]
    if command == "migrate:status":
        print(f"  {{name}} ...... [{{ran[name]}}] Ran" if name in ran else f"  {{name}} ...... Pending")
    else:
        for statement in re.findall("^// SQL: (.*)$", open(path).read(), re.M):
            cursor.execute(statement)
        cursor.execute("DELETE FROM migrations WHERE migration = %s", [name])
        print(f"Rolled back:  {{name}}")
"""


@pytest.fixture
def release(server, tmp_path):
    """A release with the migration, and programs in place of php and runuser."""
    path = tmp_path / "release"
    (path / "database" / "migrations").mkdir(parents=True)
    (path / "database" / "migrations" / f"{NEW}.php").write_text(MIGRATION)
    programs = tmp_path / "bin"
    programs.mkdir()
    user = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    php = programs / "php"
    php.write_text(STAND_IN.format(python=sys.executable, socket=server.socket, user=user))
    runuser = programs / "runuser"
    runuser.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    for program in (php, runuser):
        program.chmod(0o755)
    return path


@pytest.fixture
def play(server, release, tmp_path):
    """Run entry points of the role on a database host that has a web host; returns what ansible-playbook printed."""

    def run(*verbs, fails=False, check=False, web="ansible_connection=local", **given):
        state = str(tmp_path / "state")
        given = {
            "run_id": RUN_ID,
            "database_schema": "blazz",
            "database_strategy": "migrations",
            "database_login_unix_socket": server.socket,
            "database_migrations_path": str(release),
            "database_migrations_php": str(tmp_path / "bin" / "php"),
            "database_migrations_search": ["database/migrations"],
            "ansible_python_interpreter": sys.executable,
            **given,
        }
        acting = ("database_swap", "database_load", "migration_protection", "migration_rehearsal", "migration_rollback")
        tasks = [{"include_role": {"name": "campaign.rollback.database", "tasks_from": verb}} for verb in verbs]
        tasks.append({"debug": {"var": "database_assessment"}, "when": "database_assessment is defined"})
        book = {
            "hosts": "db1",
            "gather_facts": False,
            "vars": given,
            "module_defaults": {f"campaign.rollback.{name}": {"state_dir": state} for name in acting},
            "tasks": tasks,
        }
        (tmp_path / "play.yml").write_text(json.dumps([book]))
        (tmp_path / "hosts").write_text(f"db1 ansible_connection=local\n[web]\nweb1 {web}\n")
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_FORCE_COLOR="0")
        environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
        command = ["ansible-playbook", "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml"), "-v"]
        process = subprocess.run(
            [*command, *(["--check"] if check else [])],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert bool(process.returncode) is fails, process.stdout
        return process.stdout

    return run


@pytest.fixture
def target(db, fill):
    """What the manifest says; since then the migration ran and rows were written with it."""
    found = schema_info(db, fill())
    db.run("ALTER TABLE blazz.campaigns ADD kind VARCHAR(20) NULL")
    db.run("CREATE TABLE blazz.options (id INT AUTO_INCREMENT PRIMARY KEY, campaign_id BIGINT UNSIGNED)")
    db.run("INSERT INTO blazz.options (campaign_id) VALUES (1), (2)")
    db.run("UPDATE blazz.campaigns SET kind = 'hybrid' WHERE id = 2")
    db.run(f"INSERT INTO blazz.migrations (migration, batch) VALUES ('{NEW}', 2)")
    return {"tables": found["tables"], "migrations": found["migrations"], "files": []}


def unchanged(db, before):
    return table_digests(db, "blazz") == before and not existing_schemas(db, [COPY, SHADOW])


def test_planned_rehearsed_reversed_and_undone(db, target, play, tmp_path):
    before = table_digests(db, "blazz")
    planned = play("assess", "stage", "switch", check=True, database_target=target)
    assert unchanged(db, before)
    assert "table options with 2 rows" in planned
    assert "column campaigns.kind with 1 values" in planned
    assert f"down() of {NEW}, rehearsed on a copy; first copies campaigns, migrations, options" in planned

    done = play("stage", "switch", database_target=target)
    assert f"{NEW} in " in done
    assert differences(db, "blazz", {name: table["digest"] for name, table in target["tables"].items()}, [OLD]) == []
    assert existing_schemas(db, [COPY, SHADOW]) == set()
    assert not db.rows("SELECT User FROM mysql.user WHERE User LIKE 'rollback%'")
    assert "Aa1-" not in done
    journal = Journal(RUN_ID, str(tmp_path / "state"))
    assert {(step.name, step.state) for step in journal.steps()} == {
        ("migrations", "done"),
        (f"migration {NEW}", "done"),
    }

    # A run that is continued finds itself done.
    play("stage", "switch", database_target=target, database_resumed=True)
    assert "options" not in table_digests(db, "blazz")

    play("undo", run_reverts=RUN_ID, run_id="20261121T180000Z", database_target=target)
    assert table_digests(db, "blazz") == before
    assert db.rows("SELECT id, kind FROM blazz.campaigns ORDER BY id") == [(1, None), (2, "hybrid")]
    assert db.value("SELECT COUNT(*) FROM blazz.options") == 2
    assert journal.to_undo("database") == []


def test_what_cannot_be_reversed_is_refused_in_the_plan_and_before_anything_is_touched(db, target, play, release):
    before = table_digests(db, "blazz")
    (release / "database" / "migrations" / f"{NEW}.php").unlink()
    missing = {**target, "migrations": [*target["migrations"], "2024_gone"]}
    planned = play("assess", database_target=missing)
    assert "2024_gone is in the restore point and no longer in force" in planned
    assert f"{NEW}: its file is not in the release" in planned
    assert '"can": false' in planned
    assert "Nothing was touched" in play("stage", fails=True, database_target=target)
    assert "no list of migrations" in play("assess", database_target={"tables": {}, "files": []})
    assert unchanged(db, before)


def test_a_migration_that_leads_elsewhere_or_stops_half_way_never_becomes_live(db, target, play, release):
    before = table_digests(db, "blazz")
    path = release / "database" / "migrations" / f"{NEW}.php"
    path.write_text(MIGRATION.replace("DROP COLUMN kind", "DROP COLUMN note"))
    assert "do not lead to the restore point" in play("stage", fails=True, database_target=target)
    path.write_text(MIGRATION.replace("DROP TABLE options", "DELETE FROM blazz.options"))
    assert "denied" in play("stage", fails=True, database_target=target)
    assert unchanged(db, before)
    assert db.value("SELECT COUNT(*) FROM blazz.options") == 2


def test_a_web_host_that_is_gone_ends_the_run_and_not_the_database_host(db, target, play, release):
    gone = "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1"
    before = table_digests(db, "blazz")
    assert "web1 does not answer" in play("assess", web=gone, database_target=target)
    staged = {
        "database_migrations_staged": [{"name": NEW, "path": str(release / f"{NEW}.php"), "batch": 2}],
        "database_migrations_tables": ["campaigns", "options"],
        # Found while staging, when the host still answered.
        "__database_examined": {"release": str(release)},
    }
    told = play("switch", fails=True, web=gone, database_target=target, **staged)
    assert "web1 stopped answering while it reversed migrations" in told
    assert "unreachable=0" in told
    play("undo", web=gone, database_target=target)
    assert table_digests(db, "blazz") == before
