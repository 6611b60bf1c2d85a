"""Sessions are broken one way after the other, and recovered: what is healthy is never touched meanwhile.

The tests are in order: what one recovered the next one breaks.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import time

import httpx
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAME = os.environ["DRILL_NAME"]
NETWORK = os.environ["DRILL_NETWORK"]
SESSIONS = "/var/lib/whatsapp/sessions"
SERVICE = "/srv/campaign/current/whatsapp-service"
RUNS = "/var/lib/rollback/runs"
CONFIRM = ("-e", "rollback_confirm=drill:sessions")
#: A service writes when it last synchronised into its credentials all the time; this is what it leaves as it is.
FINGERPRINT = r"""
import hashlib, json, os, sys
root, found = sys.argv[1], {}
for name in sorted(os.listdir(root)):
    path = os.path.join(root, name)
    text = open(path, "rb").read()
    if name == "creds.json":
        try:
            text = json.dumps({**json.loads(text), "lastAccountSyncTimestamp": 0}, sort_keys=True).encode()
        except ValueError:
            pass
    found[name] = hashlib.sha256(text).hexdigest()
print(json.dumps([os.stat(root).st_ino, found]))
"""


def on(*argv, host="wa1", text=None):
    """Output of a program on a host."""
    command = ["docker", "exec", "--interactive", f"{NAME}-{host}", *argv]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def sh(script):
    return on("bash", "-ec", script)


def node():
    """Id of the service's process."""
    return sh(f"pgrep --uid whatsapp --oldest --full 'node {SERVICE}/server.js' || true").strip()


def states():
    """What the service says: ``{account: (state, generation)}``; empty if it does not answer."""
    token = sh("sed -n 's/^SERVICE_TOKEN=//p' /srv/campaign/shared/whatsapp.env").strip().strip('"')
    try:
        answer = httpx.get(
            f"http://{NETWORK}.31:3000/sessions",
            headers={"Authorization": f"Bearer {token}"},
            timeout=5,
            trust_env=False,
        )
    except httpx.HTTPError:
        return {}
    return {found["account"]: (found["state"], found["generation"]) for found in answer.json()}


def wait_until(condition, what):
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        # Not yet; asking all the time would take a core from what is waited for.
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come about")


def fingerprint(account):
    """Inode of the folder, and digests of its files."""
    return json.loads(on("python3", "-c", FINGERPRINT, f"{SESSIONS}/{account}"))


def play(playbook, *arguments):
    """Exit status and output, on one line, of a playbook."""
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml", *arguments]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr)


def recover(*arguments):
    return play("recover-whatsapp", *arguments)


def run_of(text):
    """Id of the run that printed ``text``."""
    return re.search(r"Run ([0-9]{8}T[0-9]{6}Z)", text)[1]


def let_it_load():
    """Have pm2 start the service from what is on disk; returns once it answers."""
    before = node()
    sh(f"kill -9 {before}")
    wait_until(lambda: node() not in ("", before) and states(), "a restart")


def connected():
    return {account: state for account, (state, _generation) in states().items()} == {
        "sales": "connected",
        "support": "connected",
    }


@pytest.fixture(autouse=True)
def healthy_one():
    """The account that nothing is wrong with keeps its folder, whatever happens to the other one."""
    before = fingerprint("support")
    yield
    assert fingerprint("support") == before


def test_what_works_is_not_touched():
    before = fingerprint("sales"), states(), node()
    status, text = recover(*CONFIRM)
    assert status == 0, text
    assert "Every session of drill works" in text
    assert (fingerprint("sales"), states(), node()) == before


def test_a_truncated_file_is_restored_and_brought_back():
    whole = fingerprint("sales")
    sh(f"kill -STOP {node()}; truncate --size=40 {SESSIONS}/sales/creds.json")
    let_it_load()
    assert states()["sales"][0] == "failed"
    torn = fingerprint("sales")

    status, text = recover()
    assert status != 0
    assert "restore the newest copy" in text
    assert "rollback_confirm=drill:sessions" in text
    assert (fingerprint("sales"), states()["sales"][0]) == (torn, "failed")

    status, text = recover(*CONFIRM)
    assert status == 0, text
    assert connected()
    assert fingerprint("sales")[1] == whole[1]

    run = run_of(text)
    status, text = play("undo-rollback", "-e", f"rollback_run={run}", "-e", f"rollback_confirm=drill:{run}")
    assert status == 0, text
    assert fingerprint("sales")[1] == torn[1]
    wait_until(lambda: states().get("sales", ("",))[0] == "failed", "the torn session in place")
    assert states()["support"][0] == "connected"


def test_a_stopped_service_on_a_session_without_a_device():
    """pm2 holds it stopped, and one of its sessions would make it a new device."""
    script = "import json, sys; p = sys.argv[1]; c = json.load(open(p)); c['me'].pop('id'); json.dump(c, open(p, 'w'))"
    # It writes when it stops.
    sh("cd / && runuser -u whatsapp -- env PM2_HOME=/home/whatsapp/.pm2 pm2 --silent stop whatsapp-service")
    sh(f"cp $(ls -d /var/lib/rollback/sessions/sales/*/creds.json | tail -1) {SESSIONS}/sales/creds.json")
    on("python3", "-c", script, f"{SESSIONS}/sales/creds.json")
    assert states() == {}

    status, text = recover(*CONFIRM)
    assert status == 0, text
    assert connected()
    assert f"{RUNS}/{run_of(text)}/replaced/whatsapp_session/sales" in sh(f"ls -d {RUNS}/*/replaced/whatsapp_session/*")


def test_a_second_process_is_refused():
    before = fingerprint("sales"), states(), node()
    sh("sed 's/^PORT=.*/PORT=3001/' /srv/campaign/shared/whatsapp.env >/run/second.env; chown whatsapp /run/second.env")
    sh(
        f"cd {SERVICE} && ENV_FILE=/run/second.env"
        " setsid runuser -u whatsapp -- node server.js </dev/null >/dev/null 2>&1 &"
    )
    second = wait_until(lambda: sh("pgrep --full '^node server.js' || true").strip(), "a second process")
    try:
        status, text = recover(*CONFIRM)
    finally:
        sh(f"kill {second}")
    assert status != 0
    assert "two processes run it" in text
    assert f"process {second} (node)" in text
    assert (fingerprint("sales"), states(), node()) == before
    assert node() == before[2]


def test_a_logged_out_account_waits_for_its_phone():
    credentials = json.loads(sh(f"cat {SESSIONS}/sales/creds.json"))
    device = f"{credentials['me']['id']}/{credentials['registrationId']}"
    httpx.post(f"http://{NETWORK}.41:8080/unlink", json={"device": device}, timeout=5, trust_env=False)
    let_it_load()
    assert states()["sales"][0] == "logged_out"
    before = fingerprint("sales"), states(), node()

    status, text = recover(*CONFIRM)
    assert status != 0
    assert "A phone has to be linked again: sales." in text
    assert re.search(r"session sales wa1 link phone", text)
    assert re.search(r"session support wa1 passed", text)
    assert (fingerprint("sales"), states(), node()) == before
