"""Level 2 on a real system, from refusals to the undo. The tests build on one another, in the order of this file."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess

import evidence
import httpx
import pytest
from system import System
from test_refusals import STATE, digests, on
from traffic import Traffic

ROOT = pathlib.Path(__file__).resolve().parents[3]
WEB = ("web1", "web2")
RELEASE = "/srv/campaign/current"
MIGRATION = "2025_11_12_000000_forget_how_it_was"
TEST = {"name": "campaigns can be listed", "argv": ["php", "artisan", "migrate:status"], "group": "web"}
WRONG = {**TEST, "name": "fails on purpose", "argv": ["false"], "rollback_only": True}


def play(playbook, *arguments, **variables):
    """Exit status and output, on one line, of a playbook."""
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml", *arguments]
    if variables:
        argv += ["-e", json.dumps(variables)]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr)


def refused(**variables):
    """What rollback-partial says when it refuses; no host may differ after it."""
    before = digests()
    status, text = play("rollback-partial", **variables)
    assert status != 0, text
    assert digests() == before
    return text


def version(host):
    return httpx.get(f"{System().web[host]}/api/health", timeout=15, trust_env=False).json()["version"]


def unit(host, name):
    """Main process of a unit and the ticks at which it began."""
    pid = on(host, f"systemctl show --property=MainPID --value {name}").strip()
    return pid, on(host, f"cut -d')' -f2 /proc/{pid}/stat").split()[19] if pid != "0" else ""


def children(host, name):
    return set(on(host, f"pgrep -P $(systemctl show --property=MainPID --value {name}) || true").split())


def writers():
    """Which processes write, on all hosts."""
    found = {host: unit(host, "campaign-worker") for host in WEB}
    return {**found, "wa1": on("wa1", "pgrep -f '[w]hatsapp-service/server.js' | tail -1").strip()}


@pytest.fixture(scope="module")
def point():
    return on("data1", f"ls {STATE}/restore_points").split()[-1]


@pytest.fixture(scope="module")
def word(point):
    return {"rollback_confirm": f"drill:{point}"}


@pytest.fixture(scope="module")
def system():
    return System()


def test_the_plan_says_who_goes_on_working(point):
    text = refused()
    assert "Web hosts take turns, so that the others serve: web1, web2" in text
    assert "down() of 2025_11_10_000000_add_hybrid_campaigns" in text
    assert f"rollback_confirm=drill:{point}" in text
    assert "CUTS REQUESTS OFF" not in text
    assert "env_restore" not in text.split("Against it")[0].split("component")[1]


def test_the_plan_says_why_users_have_to_wait():
    text = refused(database_migrations_online_bytes=0)
    assert re.search(
        r"Users wait while it switches, because database on data1: writers would wait while .* MB are", text
    )
    text = refused(services_restart_data=True)
    assert "services on data1: mariadb.service redis-server.service are restarted" in text


def configure_fpm(before, after):
    pool = "/etc/php/8.2/fpm/pool.d/www.conf"
    change = f"s/^process_control_timeout = {before}/process_control_timeout = {after}/"
    on("web1", f"grep -q '^process_control_timeout = {before}' {pool} && sed -i '{change}' {pool}")


def test_a_reload_that_cuts_requests_off_is_in_the_plan():
    configure_fpm("15s", "0")
    try:
        assert "CUTS REQUESTS OFF, process_control_timeout is 0: php8.2-fpm.service" in play("rollback-partial")[1]
    finally:
        configure_fpm("0", "15s")


def test_a_migration_that_cannot_be_reversed_is_refused(word):
    path = f"{RELEASE}/database/migrations/{MIGRATION}.php"
    source = (
        "<?php return new class extends Illuminate\\Database\\Migrations\\Migration {"
        " public function up(): void { Schema::table('campaigns', fn ($t) => $t->dropColumn('notes')); }"
        " public function down(): void { throw new Exception('never'); } };"
    )
    for host in WEB:
        subprocess.run(
            ["docker", "exec", "-i", f"{os.environ.get('DRILL_NAME', 'drill')}-{host}", "tee", path],
            input=source,
            text=True,
            check=True,
            capture_output=True,
        )
    row = f"mariadb blazz -e \"INSERT INTO migrations (migration, batch) VALUES ('{MIGRATION}', 9)\""
    on("data1", row)
    try:
        text = refused(**word)
        assert "This cannot be done; nothing was touched" in text
        assert MIGRATION in text
    finally:
        on("data1", f"mariadb blazz -e \"DELETE FROM migrations WHERE migration = '{MIGRATION}'\"")
        for host in WEB:
            on(host, f"rm {path}")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"rollback_database_strategy": "in_place"}, "known to level partial: migrations, campaigns, none"),
        ({"rollback_signed_off": {"form": "J. Doe"}}, "There is no such item on the checklist. Found: form."),
        ({"validation_commands": [{**TEST, "group": "wbe"}]}, "A test names a group that is not in the inventory"),
        ({"validation_urls": {"site": "http://192.0.2.1"}}, "Found: none of web1, web2 in validation_urls"),
        ({"database_campaign_tables": [], "rollback_database_strategy": "campaigns"}, "no tables are named"),
    ],
)
def test_bad_input_is_refused(word, variables, message):
    assert message in refused(**word, **variables)


def test_a_test_that_fails_takes_it_back(word):
    before = writers()
    status, text = play("rollback-partial", **word, validation_commands=[TEST, WRONG])
    assert status != 0
    assert "FAILED and taken back" in text
    assert "fails on purpose: exit status 1, see /var/lib/rollback/runs/" in text
    assert [version(host) for host in WEB] == ["v2", "v2"]
    assert "campaign_type" in on("data1", "mariadb -N -e 'SHOW COLUMNS FROM blazz.campaigns'")
    assert all(on(host, "test -e /etc/nginx/rollback/closed || echo open") == "open\n" for host in WEB)
    after = writers()
    assert all(before[host] != after[host] for host in before)


def test_some_host_serves_all_the_time(word, system, point):
    choice = {
        "template_id": system.query("SELECT MIN(id) FROM templates")[0][0],
        "group_id": system.query("SELECT id FROM contact_groups WHERE name = 'Pilot'")[0][0],
    }
    before, fpm = writers(), {host: children(host, "php8.2-fpm") for host in WEB}
    data = [unit("data1", name) for name in ("mariadb", "redis-server")]
    rows = system.ids()
    traffic = Traffic(system.web, system.secret("api_token"), choice)
    traffic.start()
    try:
        status, text = play(
            "rollback-partial", **word, validation_commands=[TEST], rollback_signed_off={"forms": "J. Doe"}
        )
    finally:
        traffic.stop()
    assert status == 0, text[-6000:]
    assert evidence.nobody_served(traffic.samples) == 0
    assert max(sample.status for sample in traffic.samples) == 503, "the gates of single hosts were closed"
    assert [version(host) for host in WEB] == ["v1", "v1"]
    for host, old in before.items():
        assert writers()[host] != old, host
    for host in WEB:
        assert fpm[host]
        assert not fpm[host] & children(host, "php8.2-fpm"), "the opcode cache is that of new workers"
        where = on(host, f"readlink -f {RELEASE}")
        assert on(host, f"readlink /proc/{unit(host, 'campaign-worker')[0]}/cwd") == where
    assert [unit("data1", name) for name in ("mariadb", "redis-server")] == data, "nobody asked to restart them"
    assert "campaign_type" not in on("data1", "mariadb -N -e 'SHOW COLUMNS FROM blazz.campaigns'")
    after = system.ids()
    assert not any(rows[table] - after[table] for table in rows)
    assert set(traffic.acknowledged) <= after["campaigns"]
    assert "Not a part of this level, and as before: env_restore, whatsapp_session" in text
    assert "HYBRID_CAMPAIGNS_ENABLED" in on("web1", "cat /srv/campaign/shared/.env"), "the environment is as it was"


def newest_run():
    return on("data1", f"ls {STATE}/runs").split()[-1]


def test_the_report_has_tests_and_checklist():
    report = json.loads(on("data1", f"cat {STATE}/runs/{newest_run()}/report.json"))
    states = {entry["item"]: entry["state"] for entry in report["checklist"]}
    assert states == {
        "campaign_creation": "open",
        "template_selection": "open",
        "contact_groups": "open",
        "campaign_listing": "passed",
        "campaign_statistics": "passed",
        "whatsapp": "passed",
        "queue": "passed",
        "forms": "signed off",
    }
    (signed,) = [entry for entry in report["checklist"] if entry["by"]]
    assert (signed["by"], signed["at"][:2]) == ("J. Doe", "20")
    found = {(row["check"], row["where"]): row for row in report["checks"]}
    for host in WEB:
        assert found[TEST["name"], host]["result"] == "passed"
        assert "started by this run, in /srv/campaign/releases/" in found["campaign-worker.service", host]["detail"]
        assert "taken over after" in found["php8.2-fpm.service", host]["detail"]
    log = f"{STATE}/runs/{newest_run()}/tests/campaigns_can_be_listed.log"
    assert "create_users_table" in on("web1", f"cat {log}")
    assert on("web1", f"stat -c %a {log}") == "600\n"


def test_it_is_signed_off_later_and_held_to_what_was_rolled_back():
    run = newest_run()
    status, text = play("validate-system", rollback_signed_off={"contact_groups": "A. Other"})
    assert status == 0, text[-6000:]
    signed = json.loads(on("data1", f"cat {STATE}/runs/{run}/signed_off.json"))
    assert {item: entry["by"] for item, entry in signed.items()} == {"forms": "J. Doe", "contact_groups": "A. Other"}


def undo():
    found = re.findall(r"rollback_confirm=(drill:\w+)", play("undo-rollback")[1])
    status, text = play("undo-rollback", rollback_confirm=found[-1])
    assert status == 0, text[-6000:]


def test_it_is_undone(system):
    rows = system.ids()
    undo()
    assert [version(host) for host in WEB] == ["v2", "v2"]
    assert "campaign_type" in on("data1", "mariadb -N -e 'SHOW COLUMNS FROM blazz.campaigns'")
    assert rows == system.ids()


def test_campaign_data_comes_back_alone(word, system):
    on("data1", 'mariadb blazz -e "DELETE FROM campaigns WHERE id <= 2"')
    before = system.ids()
    status, text = play("rollback-partial", **word, rollback_database_strategy="campaigns")
    assert status == 0, text[-6000:]
    after = system.ids()
    assert after["campaigns"] >= before["campaigns"] | {1, 2}
    assert after["campaign_logs"] > before["campaign_logs"], "they come with their logs"
    assert [version(host) for host in WEB] == ["v1", "v1"]
    assert "campaign_type" in on("data1", "mariadb -N -e 'SHOW COLUMNS FROM blazz.campaigns'"), "the schema stays"
    assert play("validate-system")[0] == 0
    undo()
    assert {1, 2}.isdisjoint(system.ids()["campaigns"])


def test_users_wait_where_they_have_to(word):
    """Both ways: what a rolling level cannot do in turns it does as a full rollback does."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        acting = pool.submit(play, "rollback-partial", **word, database_migrations_online_bytes=0)
        closed = set()
        while not acting.done():
            states = tuple(on(host, "cat /etc/nginx/rollback/closed 2>/dev/null || true") != "" for host in WEB)
            closed.add(states)
    status, text = acting.result()
    assert status == 0, text[-6000:]
    assert (True, True) in closed
    assert [version(host) for host in WEB] == ["v1", "v1"]
