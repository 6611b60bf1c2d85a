"""The state of every host after a deployment, a rollback or an undo, as a person would look at it."""

from __future__ import annotations

import json
import os
import pathlib

import pytest
import testinfra

VERSION = os.environ["DRILL_VERSION"]
RELEASE = "/srv/campaign/current"
NAME = os.environ.get("DRILL_NAME", "drill")
GROUPS = {"web": ["web1", "web2"], "database": ["data1"], "whatsapp": ["wa1"]}
STATE = pathlib.Path(__file__).parents[3] / "drill" / ".state" / NAME


def answer(host, url, method="GET"):
    """Status and text that a host gets from itself; Python is there on every one of them."""
    program = (
        "import json, urllib.error, urllib.request as u\n"
        f"request = u.Request({url!r}, method={method!r}, headers={{'Accept': 'application/json'}})\n"
        "try: found = u.urlopen(request)\n"
        "except urllib.error.HTTPError as error: found = error\n"
        "print(json.dumps([found.status, found.read().decode()]))"
    )
    status, text = json.loads(host.check_output("python3 -c %s", program))
    return status, text


def on(*groups):
    """Run a test on every host of these groups, from outside SSH and Ansible."""
    names = [name for group in groups for name in GROUPS[group]]
    hosts = [testinfra.get_host(f"docker://{NAME}-{name}") for name in names]
    return pytest.mark.parametrize("host", hosts, ids=names)


@on("web", "whatsapp")
def test_live_release_is_the_version(host):
    details = json.loads(host.file(f"{RELEASE}/RELEASE.json").content_string)
    assert details["version"] == VERSION
    assert host.file(f"{RELEASE}/REVISION").content_string.strip() == details["commit"]


@on("web")
@pytest.mark.parametrize("unit", ["nginx", "php8.2-fpm", "campaign-worker", "campaign-scheduler.timer"])
def test_web_services_run(host, unit):
    assert host.service(unit).is_running


@on("web")
def test_worker_runs_the_live_code(host):
    pid = host.check_output("systemctl show --property=MainPID --value campaign-worker")
    assert host.check_output(f"readlink /proc/{pid}/cwd") == host.check_output(f"readlink -f {RELEASE}")


@on("web")
def test_environment_is_that_of_the_version(host):
    environment = host.file("/srv/campaign/shared/.env")
    assert (environment.user, environment.group, environment.mode) == ("deploy", "www-data", 0o640)
    assert environment.contains("^HYBRID_CAMPAIGNS_ENABLED=") == (VERSION == "v2")


@on("web")
def test_configuration_cache_is_that_of_the_version(host):
    cached = host.check_output(f"cat {RELEASE}/bootstrap/cache/config.php")
    assert ("hybrid" in cached) == (VERSION == "v2")
    assert not host.file(f"{RELEASE}/.env.rollback").exists


@on("web")
def test_gate_is_open_and_the_version_serves(host):
    assert not host.file("/etc/nginx/rollback/closed").exists
    status, text = answer(host, "http://127.0.0.1/api/health")
    assert (status, json.loads(text)) == (200, {"status": "ok", "version": VERSION})


@on("web")
def test_hybrid_endpoint_belongs_to_v2(host):
    status, _text = answer(host, "http://127.0.0.1/api/campaigns/hybrid", "POST")
    assert status == (401 if VERSION == "v2" else 404)


@on("database")
def test_schema_is_that_of_the_version(host):
    tables = host.check_output("mariadb -N -e 'SHOW TABLES FROM blazz'").split()
    assert ("campaign_hybrid_options" in tables) == (VERSION == "v2")
    columns = host.check_output("mariadb -N -e 'SHOW COLUMNS FROM blazz.campaigns'")
    assert ("campaign_type" in columns) == (VERSION == "v2")
    assert int(host.check_output("mariadb -N -e 'SELECT COUNT(*) FROM blazz.campaign_logs'")) >= 20000


@on("database")
def test_no_staged_copy_is_left(host):
    schemas = host.check_output("mariadb -N -e 'SHOW DATABASES'").split()
    assert not [name for name in schemas if "__shadow_" in name or "__verify_" in name]


@on("whatsapp")
def test_whatsapp_service_runs_the_version(host):
    health = json.loads(answer(host, "http://127.0.0.1:3000/health")[1])
    assert health["version"] == VERSION
    assert set(health["sessions"].values()) == {"connected"}


@on("web", "database", "whatsapp")
def test_no_secret_is_in_what_a_run_tells(host):
    secrets = [path.read_text().strip() for path in (STATE / "secrets").iterdir()]
    files = "runs/*/journal.jsonl runs/*/run.json runs/*/report.* restore_points/*/manifest.json"
    told = host.run(f"cd /var/lib/rollback && cat {files}").stdout
    assert not [secret for secret in secrets if secret in told]


@on("web", "database", "whatsapp")
def test_what_the_package_keeps_is_private(host):
    kept = host.file("/var/lib/rollback")
    assert not kept.exists or (kept.user, kept.mode) == ("root", 0o700)
    assert host.check_output("find /var/lib/rollback -type f -perm /077 2>/dev/null") == ""
