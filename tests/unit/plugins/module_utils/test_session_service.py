"""What a service says of an account: one of its declared words, or no statement at all."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import session_service
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import Api, Stated

CANARY = "canary-7f3a"
API = Api(
    status_url="http://127.0.0.1:3000/sessions/{account}",
    status_path="accounts.{account}.state",
    restart_url="http://127.0.0.1:3000/sessions/{account}/restart",
    restart_body={"account": "{account}", "options": {"force": True, "name": "{account}"}},
    connected=["open", "true"],
    logged_out=["401"],
    broken=["500"],
    token=CANARY,
)


class Service:
    """Answers every request the same, and keeps what it was asked."""

    def __init__(self, status=200, text="{}"):
        self.answer = status, text
        self.asked = []

    def __call__(self, method, url, headers, body):
        self.asked.append((method, url, headers, body))
        if isinstance(self.answer[1], Exception):
            raise self.answer[1]
        return self.answer


def state(value):
    return json.dumps({"accounts": {"sales": {"state": value}}})


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((200, state("open")), Stated("connected", "open")),
        ((200, state(True)), Stated("connected", "true")),
        ((503, state("open")), Stated("connected", "open")),
        ((200, state(401)), Stated("logged out", "401")),
        ((200, state("500")), Stated("broken", "500")),
        ((200, state("connecting")), Stated("disconnected", "connecting")),
        ((200, state(False)), Stated("disconnected", "false")),
        ((404, '{"message": "Unknown account."}'), Stated("disconnected", "unknown to the service, status 404")),
        ((200, "[]"), Stated("disconnected", "unknown to the service, status 200")),
        ((502, "<html>"), Stated("silent", "status 502, no JSON")),
        ((0, ConnectionRefusedError("refused")), Stated("silent", "ConnectionRefusedError")),
        ((0, TimeoutError()), Stated("silent", "TimeoutError")),
    ],
)
def test_state(answer, found):
    service = Service(*answer)
    assert session_service.state_of(API, service, "sales") == found
    (asked,) = service.asked
    assert asked[:2] == ("GET", "http://127.0.0.1:3000/sessions/sales")
    assert asked[2]["Authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_an_error_and_not_a_state(status):
    with pytest.raises(RollbackError, match="does not accept the token") as raised:
        session_service.state_of(API, Service(status, "{}"), "sales")
    assert CANARY not in str(raised.value)


def test_the_token_is_not_shown_with_the_endpoints():
    assert CANARY not in repr(API)


def test_another_header_carries_the_token():
    api = Api("http://127.0.0.1/", "state", header="x-api-key: {token}", token=CANARY)
    service = Service()
    session_service.state_of(api, service, "sales")
    assert service.asked[0][2] == {"Accept": "application/json", "x-api-key": CANARY}


def test_without_a_token_none_is_sent():
    service = Service()
    session_service.state_of(Api("http://127.0.0.1/", "state"), service, "sales")
    assert service.asked[0][2] == {"Accept": "application/json"}


def test_restart_names_the_account():
    service = Service(202)
    assert session_service.ask_to_restart(API, service, "sales") == ""
    ((method, url, _headers, body),) = service.asked
    assert (method, url) == ("POST", "http://127.0.0.1:3000/sessions/sales/restart")
    assert json.loads(body) == {"account": "sales", "options": {"force": True, "name": "sales"}}


@pytest.mark.parametrize(("answer", "why"), [((404, ""), "status 404"), ((0, OSError()), "OSError")])
def test_a_restart_that_is_refused_says_so(answer, why):
    assert session_service.ask_to_restart(API, Service(*answer), "sales") == why


@pytest.mark.parametrize(
    ("text", "key"),
    [(f"{CANARY}\n", ""), (f'PORT=3000\nSERVICE_TOKEN="{CANARY}"\n', "SERVICE_TOKEN")],
)
def test_token(tmp_path, text, key):
    (tmp_path / "token").write_text(text)
    assert session_service.token_in(str(tmp_path / "token"), key) == CANARY
    assert session_service.token_in("", key) == ""


@pytest.mark.parametrize(("text", "key"), [("", ""), (f"OTHER={CANARY}\n", "SERVICE_TOKEN"), (None, "")])
def test_a_missing_token_is_an_error_without_the_others(tmp_path, text, key):
    if text is not None:
        (tmp_path / "token").write_text(text)
    with pytest.raises(RollbackError) as raised:
        session_service.token_in(str(tmp_path / "token"), key)
    assert CANARY not in str(raised.value)
