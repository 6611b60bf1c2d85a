"""The modules that ask a service, against one that answers over HTTP on this machine."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import session_options
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import Holder
from ansible_collections.campaign.rollback.plugins.modules import session_info, session_restart

RUN_ID = "20261121T174500Z"
CANARY = "canary-7f3a"
LINKED = {
    "me": {"id": "1@s"},
    "registrationId": 7,
    "noiseKey": {"private": CANARY},
    "signedIdentityKey": {"private": CANARY, "public": "k"},
    "account": {"details": CANARY},
}


class Handler(http.server.BaseHTTPRequestHandler):
    """``server.states`` by account; ``server.heals`` are connected by a restart."""

    def do_GET(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        answer = self.server.answers.get(self.path.partition("?")[0])
        self.reply(*(answer or (200, {"sessions": self.server.states})))

    def do_POST(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        account = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["account"]
        if account in self.server.heals:
            self.server.states[account] = "connected"
        self.reply(200, {})

    def reply(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def service():
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.states, server.heals, server.asked, server.answers = (
        {"sales": "connected", "support": "connected"},
        [],
        [],
        {},
    )
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def arguments(tmp_path, state_dir, service):
    for name in ("sessions/sales", "sessions/support", f"copies/sales/{RUN_ID}"):
        (tmp_path / name).mkdir(parents=True)
        identity = {"registrationId": 8} if name.endswith("support") else {}
        (tmp_path / name / "creds.json").write_text(json.dumps({**LINKED, **identity}))
    (tmp_path / "whatsapp.env").write_text(f"PORT=3000\nSERVICE_TOKEN={CANARY}\n")
    return {
        "path": str(tmp_path / "sessions"),
        "accounts": ["sales", "support"],
        "copies": str(tmp_path / "copies"),
        "api": {
            "status_url": f"{service.url}/health",
            "status_path": "sessions.{account}",
            "restart_url": f"{service.url}/sessions/restart",
            "restart_body": {"account": "{account}"},
            "connected": ["connected"],
            "logged_out": ["logged_out"],
            "broken": ["bad_session"],
            "token_file": str(tmp_path / "whatsapp.env"),
            "token_key": "SERVICE_TOKEN",
        },
        "state_dir": state_dir,
    }


@pytest.fixture
def info(arguments, run_module, untouched):
    def run(**changes):
        given = {key: value for key, value in {**arguments, **changes}.items() if key != "state_dir"}
        with untouched():
            result = run_module("session_info", given)
        assert CANARY not in json.dumps(result)
        return {account: (found["action"], found["why"]) for account, found in result["sessions"].items()}

    return run


@pytest.fixture
def restart(arguments, run_module):
    def run(**changes):
        given = {key: value for key, value in arguments.items() if key != "copies"}
        given.update({"run_id": RUN_ID, "attempts": 2, "pause_s": 0.1, **changes})
        check = given.pop("check", False)
        result = run_module("session_restart", given, check=check)
        assert CANARY not in json.dumps(result)
        return result

    return run


def test_what_works_needs_nothing(info, service):
    assert info() == {"sales": ("none", ""), "support": ("none", "")}
    assert {given for _method, _path, given in service.asked} == {f"Bearer {CANARY}"}


def test_disk_service_and_copies_decide_together(info, service, tmp_path):
    service.states.update(sales="failed", support="failed")
    (tmp_path / "sessions" / "sales" / "creds.json").write_text("{")
    found = info(restarted=True)
    assert found["sales"][0] == "restore"
    assert found["support"][0] == "give_up"
    (tmp_path / "copies" / "sales" / RUN_ID / "creds.json").write_text("{")
    assert info()["sales"] == ("link", "creds.json is not whole JSON, and there is no valid copy")


def test_a_logged_out_device_is_not_replaced_by_itself(info, service, tmp_path):
    service.states["sales"] = "logged_out"
    assert info()["sales"][0] == "link"
    (tmp_path / "sessions" / "sales" / "creds.json").write_text(json.dumps({**LINKED, "me": None}))
    assert info()["sales"][0] == "restore", "what is live was never linked, and the copy was"


def test_a_second_folder_of_the_same_device_is_refused(info, tmp_path):
    (tmp_path / "sessions" / "sales-old").mkdir()
    (tmp_path / "sessions" / "sales-old" / "creds.json").write_text(json.dumps(LINKED))
    assert info()["sales"] == ("refuse", "the same device is also in sales-old")


def test_a_second_process_is_refused(info, monkeypatch):
    two = [Holder(100, "node"), Holder(200, "node")]
    monkeypatch.setattr(session_info, "holders", lambda *_arguments: {"sales": two, "support": two[:1]})
    found = info()
    assert (found["sales"][0], found["support"][0]) == ("refuse", "none")


def test_it_waits_until_all_are_settled(info, service):
    service.states["sales"] = "connecting"
    timer = threading.Timer(0.2, service.states.update, [{"sales": "connected"}])
    timer.start()
    assert info(wait_s=30)["sales"] == ("none", "")
    timer.join()


def test_restart_through_the_service_touches_the_failed_one_alone(restart, service):
    service.states["sales"], service.heals = "failed", ["sales"]
    predicted = restart(check=True)
    assert predicted["changed"] is True
    assert [path for method, path, _token in service.asked if method == "POST"] == []
    found = restart()
    assert found["sessions"] == {
        "sales": {"stated": "connected", "word": "connected", "attempts": 1},
        "support": {"stated": "connected", "word": "connected", "attempts": 0},
    }
    assert [path for method, path, _token in service.asked if method == "POST"] == ["/sessions/restart"]
    assert restart()["changed"] is False


def test_restart_gives_up_and_says_how_it_stands(restart, service):
    service.states["sales"] = "failed"
    found = restart()
    assert found["sessions"]["sales"] == {"stated": "disconnected", "word": "failed", "attempts": 2}


def test_a_service_that_cannot_be_asked_is_told_and_stands_in_nobodys_way(info, service, tmp_path):
    service.answers["/health"] = (401, {})
    found = info()
    assert {action for action, _why in found.values()} == {"give_up"}
    assert all("does not accept the token" in why for _action, why in found.values())
    (tmp_path / "whatsapp.env").write_text("PORT=3000\n")
    assert all("There is no token" in why for _action, why in info().values())
    (tmp_path / "sessions" / "sales" / "creds.json").write_text("{")
    assert info()["sales"][0] == "restore"


def test_a_logged_out_account_is_not_restarted(restart, service):
    service.states["sales"] = "logged_out"
    assert restart()["changed"] is False
    assert [path for method, path, _token in service.asked if method == "POST"] == []


def test_a_service_that_does_not_answer_is_started_once_for_all(restart, tmp_path, monkeypatch):
    """Through pm2: the process is one, and the accounts come up with it."""
    calls = []

    def run_command(_self, argv, **_options):
        calls.append(argv[argv.index("pm2") + 1])
        return 0, "[]", ""

    def ask(_method, _url, _headers, _body):
        if "start" not in calls:
            raise ConnectionRefusedError
        return 200, json.dumps({"sessions": {"sales": "connected", "support": "connected"}})

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    monkeypatch.setattr(session_options, "holders", lambda *_arguments: {})
    monkeypatch.setattr(session_restart, "sender", lambda _timeout_s: ask)
    pm2 = {"name": "whatsapp-service", "user": "whatsapp", "home": str(tmp_path), "ecosystem": "/srv/eco.config.js"}
    found = restart(pm2=pm2)
    assert {account: each["attempts"] for account, each in found["sessions"].items()} == {"sales": 1, "support": 0}
    assert calls == ["jlist", "start", "save"]
    assert found["process"] is True


@pytest.fixture
def cloud(service, tmp_path):
    scopes = ["whatsapp_business_messaging", "whatsapp_business_management"]
    valid = {"data": {"app_id": "1", "is_valid": True, "expires_at": 0, "scopes": scopes}}
    service.answers = {
        "/debug_token": (200, valid),
        "/100000000000001": (200, {"id": "100000000000001", "quality_rating": "GREEN", "status": "CONNECTED"}),
    }
    (tmp_path / "token").write_text(CANARY)
    account = {"name": "support", "phone_number_id": "100000000000001", "token_file": str(tmp_path / "token")}
    return {"accounts": [account], "base_url": service.url}


def test_a_cloud_account_is_asked_by_get_alone(cloud, run_module, service, untouched):
    with untouched():
        result = run_module("cloud_api_info", cloud)
    assert result["accounts"]["support"]["state"] == "healthy"
    assert {(method, given) for method, _path, given in service.asked} == {("GET", f"Bearer {CANARY}")}


def test_what_meta_repeats_is_masked(cloud, run_module, service):
    service.answers["/100000000000001"] = (200, {"id": "1", "status": CANARY, "quality_rating": CANARY})
    result = run_module("cloud_api_info", cloud)
    assert result["accounts"]["support"]["state"] == "broken"
    assert CANARY not in json.dumps(result)


def test_a_token_may_come_from_the_environment(cloud, run_module, monkeypatch):
    (account,) = cloud["accounts"]
    account.update(token_file="", token_key="CLOUD_TOKEN")
    assert "There is no token" in run_module("cloud_api_info", cloud, fails=True)["msg"]
    monkeypatch.setenv("CLOUD_TOKEN", CANARY)
    assert run_module("cloud_api_info", cloud)["accounts"]["support"]["state"] == "healthy"
