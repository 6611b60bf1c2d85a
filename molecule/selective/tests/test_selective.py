"""A function that is broken by a commit and by a key: refusals, the rollback of it alone, the way back, and log-ins."""

from __future__ import annotations

import re

import httpx
import pytest
from selective import (
    BROKEN,
    HOSTS,
    STATE,
    SYSTEM,
    declared,
    digests,
    on,
    play,
    point,
    refused,
    sessions,
    shown,
    touched,
)

PLAYBOOK = "rollback-selective"


@pytest.fixture(scope="module")
def broken():
    """State of every host before anything is restored."""
    return {host: shown(host) for host in HOSTS}


def test_unknown_function(broken):
    assert "This function is not declared. Found: whatsap;" in refused("rollback_function=whatsap", playbook=PLAYBOOK)


def test_a_declaration_that_cannot_be_meant():
    wrong = declared(other={"files": ["../x"], "tests": ["home"]})
    assert "Function other needs files relative to the code" in refused(wrong, playbook=PLAYBOOK)
    absent = declared(other={"processes": ["gone.service"], "tests": ["home"]})
    assert "a process that no host lists for the role services. Found: gone.service" in refused(
        absent, playbook=PLAYBOOK
    )


def test_what_a_sound_function_uses_too_is_not_touched():
    also = declared(other={"files": [BROKEN], "tests": ["home"]})
    text = refused(also, playbook=PLAYBOOK)
    assert "Restoring whatsapp would change what other uses too, and that works" in text
    assert "rollback_function=whatsapp,other" in text


def test_a_file_that_is_in_neither_commit():
    gone = declared(other={"files": ["app/Nowhere.php"], "tests": ["home"]})
    assert "No file answers to this pattern" in refused(gone, "rollback_function=other", playbook=PLAYBOOK)


def test_the_plan_names_function_reason_keys_and_word():
    text = refused(playbook=PLAYBOOK)
    assert "Function whatsapp: WhatsApp sessions on web1: status 500" in text
    assert "These work and are left alone: campaigns, pages" in text
    assert "1 keys: WHATSAPP_SERVICE_TOKEN" in text
    assert f"1 of the declared files differ: {BROKEN}" in text
    assert f"rollback_confirm=drill:{point()}:whatsapp" in text
    assert "frontend" not in text, "components that it has nothing in take no part"


def test_the_word_of_another_function():
    assert "The confirmation is for something else" in refused(
        f"rollback_confirm=drill:{point()}:pages", playbook=PLAYBOOK
    )


def test_a_key_that_changed_on_both_sides_is_told():
    environment = "/srv/campaign/shared/.env"
    later = f"{STATE}/restore_points/20991231T000000Z"
    copy = f"{later}/env/srv__campaign__shared__.env"
    on("web1", f"mkdir -p {later}/env && sed 's/^APP_NAME=.*/APP_NAME=Deployed/' {environment} > {copy}")
    on("web1", f"cp -a {environment} /root/kept && sed -i 's/^APP_NAME=.*/APP_NAME=ByHand/' {environment}")
    try:
        assert "changed on both sides, stays: APP_NAME" in refused(playbook=PLAYBOOK)
    finally:
        on("web1", f"cp -a /root/kept {environment} && rm -r {later} /root/kept")


def test_check_mode_shows_every_change_and_makes_none():
    before = digests()
    status, text = play(PLAYBOOK, "--check", "--diff")
    assert touched(before) == {}
    assert status == 0, text[-6000:]
    assert "WHATSAPP_SERVICE_TOKEN=<before>" in text
    assert "WHATSAPP_SERVICE_URL=<unchanged>" in text
    assert "NEWER_FEATURE=<after>" not in text
    assert "http://wrong.invalid" not in text


def test_only_the_function_is_restored(broken):
    assert sessions() == [500, 500]
    others = {host: on(host, "systemctl show --value --property=MainPID nginx php8.2-fpm") for host in ("web1", "web2")}
    status, text = play(PLAYBOOK, "-e", f"rollback_confirm=drill:{point()}:whatsapp")
    assert status == 0, text[-6000:]
    assert "Function whatsapp of drill is back at restore point" in text
    assert sessions() == [200, 200]
    run = re.search(r"Run (\d{8}T\d{6}Z)", text)[1]
    commits = set()
    for host, file in HOSTS.items():
        environment = on(host, f"cat /srv/campaign/shared/{file}")
        assert "NEWER_FEATURE=kept" in environment, "newer keys stay"
        assert "wrong.invalid" not in environment
        assert on(host, f"stat -c '%U %a' /srv/campaign/shared/{file}") == "deploy 640\n", "owner and mode stay"
        commit = on(host, "cat /srv/campaign/current/REVISION").strip()
        git = "git -c safe.directory='*' -C /srv/campaign/repo.git"
        assert on(host, f"{git} rev-parse refs/rollback/{run}").strip() == commit
        said = on(host, f"{git} log -1 --format='%an %cn %s' {commit}")
        assert said == "rollback rollback Roll back function whatsapp\n"
        assert on(host, f"{git} diff --name-only {commit}^ {commit}") == f"{BROKEN}\n"
        assert on(host, f"{git} log -1 --format=%s {commit}^") == "Rename a variable\n", "history is kept"
        assert on(host, "stat -c %U /srv/campaign/repo.git/objects/*").split().count("root") == 0
        commits.add(commit)
    assert len(commits) == 1, "every host runs the same commit"
    assert "RATE_LIMIT=50" in on("wa1", "cat /srv/campaign/shared/whatsapp.env")
    cached = on("web1", "cat /srv/campaign/current/bootstrap/cache/config.php")
    assert "/releases/" in cached
    assert "wrong.invalid" not in cached
    for host, running in others.items():
        assert on(host, "systemctl show --value --property=MainPID nginx php8.2-fpm") == running
        worker = on(host, "systemctl show --value --property=MainPID campaign-worker").strip()
        assert on(host, f"readlink /proc/{worker}/cwd") == on(host, "readlink -f /srv/campaign/current")
    status, text = play("validate-system")
    assert status == 0, "the system as a whole is held to no restore point: " + text[-6000:]


def test_undo_gives_back_exactly_what_was_there(broken):
    _status, text = play("undo-rollback")
    word = re.findall(r"rollback_confirm=(\S+:\w+)", text)[-1]
    _status, text = play("undo-rollback", "-e", f"rollback_confirm={word}")
    assert "does NOT pass its validation" in text
    assert {host: shown(host) for host in HOSTS} == broken
    assert sessions() == [500, 500]


def test_a_named_function_is_restored_again():
    status, text = play(
        PLAYBOOK, "-e", "rollback_function=whatsapp", "-e", f"rollback_confirm=drill:{point()}:whatsapp"
    )
    assert status == 0, text[-6000:]
    assert sessions() == [200, 200]


@pytest.fixture
def logged_in():
    """A user's browser on web1."""
    with httpx.Client(base_url=SYSTEM.web["web1"], timeout=15, trust_env=False) as browser:
        form = re.search(r'name="_token" value="(\w+)"', browser.get("/login").text)[1]
        given = {"_token": form, "email": "operator@example.test", "password": SYSTEM.secret("user_password")}
        assert browser.post("/login", data=given).headers["location"].endswith("/campaigns")
        assert browser.get("/campaigns/create").status_code == 200
        yield browser


def test_log_ins_end_and_come_back(logged_in):
    text = refused(playbook="refresh-sessions")
    assert re.search(r"operator web1 valid status 200", text)
    assert "they are kept aside" in text
    status, text = play("refresh-sessions", "-e", "rollback_confirm=drill:log-ins")
    assert status == 0, text[-6000:]
    assert " log-ins, and has 0 now" in text
    # Without the cookies of the answer, which begins another session.
    asked = httpx.get(f"{SYSTEM.web['web1']}/campaigns/create", cookies=logged_in.cookies, trust_env=False)
    assert asked.status_code == 302, "everybody has to log in again"
    again = re.search(r"-e rollback_run=(\S+) -e rollback_confirm=(\S+:\w+)", text)
    status, text = play("refresh-sessions", "-e", f"rollback_run={again[1]}", "-e", f"rollback_confirm={again[2]}")
    assert status == 0, text[-6000:]
    assert logged_in.get("/campaigns/create").status_code == 200


def test_an_expired_token_is_told():
    wrong = '{"login_sessions_headers": {"operator": {"Authorization": "Bearer nobody"}}}'
    assert re.search(r"operator web1 refused status 401", refused(wrong, playbook="refresh-sessions"))
