"""Cloud API accounts: judged by Meta's codes, by GET alone, and what Meta writes is never repeated."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import cloud_api
from ansible_collections.campaign.rollback.plugins.module_utils.cloud_api import Account

TOKEN = "EAAcanary7f3a"
NOW = 1_790_000_000
BASE = "https://graph.facebook.com/v25.0"
ACCOUNT = Account("support", "100000000000001", "200000000000002", TOKEN)

#: Answers as Meta documents them.
VALID = {
    "data": {
        "app_id": "670843887433847",
        "type": "SYSTEM_USER",
        "application": "Campaigns",
        "data_access_expires_at": 0,
        "expires_at": 0,
        "is_valid": True,
        "scopes": ["whatsapp_business_management", "whatsapp_business_messaging", "public_profile"],
        "granular_scopes": [{"scope": "whatsapp_business_messaging", "target_ids": ["200000000000002"]}],
        "user_id": "300000000000003",
    }
}
NUMBER = {
    "verified_name": "Campaigns",
    "code_verification_status": "VERIFIED",
    "quality_rating": "GREEN",
    "platform_type": "CLOUD_API",
    "throughput": {"level": "STANDARD"},
    "status": "CONNECTED",
    "account_mode": "LIVE",
    "id": "100000000000001",
}
APPS = {"data": [{"whatsapp_business_api_data": {"id": "670843887433847", "name": "Campaigns"}}]}


def error(code, **more):
    """Meta's published shape; its message may repeat the token."""
    body = {"message": f"(#{code}) Malformed access token {TOKEN}", "type": "OAuthException", "code": code, **more}
    details = {"messaging_product": "whatsapp", "details": TOKEN}
    return 401 if code == 190 else 400, {"error": {**body, "error_data": details, "fbtrace_id": "AbCdEf123"}}


class Meta:
    """A stand-in: answers by address, and keeps what it was asked."""

    def __init__(self, token=(200, VALID), number=(200, NUMBER), apps=(200, APPS)):
        self.answers = {"debug_token": token, "100000000000001": number, "subscribed_apps": apps}
        self.asked = []

    def get(self, url, token):
        self.asked.append((url, token))
        status, answer = self.answers[url.partition("?")[0].rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        return status, answer if isinstance(answer, str) else json.dumps(answer)


def check(meta, account=ACCOUNT):
    health = cloud_api.check(meta.get, BASE, account, NOW)
    assert TOKEN not in str(health)
    return health


def token(**changes):
    return 200, {"data": {**VALID["data"], **changes}}


def test_a_healthy_account():
    meta = Meta()
    health = check(meta)
    assert (health.state, health.reasons, health.notes) == ("healthy", [], [])
    assert (health.expires_at, health.quality) == (0, "GREEN")
    assert [url.removeprefix(BASE) for url, _token in meta.asked] == [
        f"/debug_token?input_token={TOKEN}",
        f"/100000000000001?fields={cloud_api.FIELDS}",
        "/200000000000002/subscribed_apps",
    ]
    assert {given for _url, given in meta.asked} == {TOKEN}


def test_without_a_business_account_nobody_asks_for_its_apps():
    meta = Meta()
    assert check(meta, Account("support", "100000000000001", token=TOKEN)).state == "healthy"
    assert len(meta.asked) == 2


@pytest.mark.parametrize(
    ("answers", "state", "reason"),
    [
        ({"token": error(190, error_subcode=463)}, "broken", "token: the token has expired or was withdrawn"),
        ({"token": token(is_valid=False, error={"code": 190, "message": TOKEN})}, "broken", "expired or was withdrawn"),
        ({"token": token(is_valid=False)}, "broken", "token: it is not valid"),
        ({"token": token(expires_at=NOW - 1)}, "broken", "token: it has expired"),
        ({"token": token(scopes=["whatsapp_business_management"])}, "broken", "it lacks whatsapp_business_messaging"),
        ({"token": (200, {})}, "unknown", "token: status 200"),
        ({"token": (200, {"data": None})}, "unknown", "token: the answer has no data"),
        ({"number": error(100, error_subcode=33)}, "broken", "number: the id is unknown"),
        ({"number": error(200)}, "broken", "number: a permission is missing (code 200, trace AbCdEf123)"),
        ({"number": error(299)}, "broken", "number: a permission is missing"),
        ({"number": error(131031)}, "broken", "the account is locked"),
        ({"number": (200, {**NUMBER, "status": "BANNED"})}, "broken", "number: it is BANNED"),
        ({"number": error(4)}, "unknown", "too many calls of the app"),
        ({"number": error(130429)}, "unknown", "too many calls"),
        ({"number": error(131057)}, "unknown", "maintenance"),
        ({"number": error(424242)}, "unknown", "not known here (code 424242"),
        ({"number": error("190")}, "unknown", "not known here"),
        ({"number": (500, "<html>")}, "unknown", "number: the answer is not JSON"),
        ({"number": (500, [])}, "unknown", "number: status 500"),
        ({"number": (0, TimeoutError())}, "unknown", "number: no answer (TimeoutError)"),
        ({"apps": (200, {"data": []})}, "broken", "webhook: the app is not subscribed"),
        ({"apps": error(80008)}, "unknown", "webhook: too many calls"),
        ({"token": error(4), "apps": (200, {"data": []})}, "unknown", "too many calls"),
    ],
)
def test_what_speaks_against_an_account(answers, state, reason):
    health = check(Meta(**answers))
    assert health.state == state
    assert reason in "; ".join(health.reasons)


def test_broken_outweighs_unknown_whichever_came_first():
    assert check(Meta(token=error(190), number=error(4))).state == "broken"
    assert check(Meta(token=error(4), number=error(131031))).state == "broken"


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        ({"token": token(expires_at=NOW + 7200)}, "expires in 2 h"),
        ({"number": (200, {**NUMBER, "quality_rating": "RED"})}, "RED"),
        ({"number": (200, {**NUMBER, "account_mode": "SANDBOX"})}, "sandbox"),
    ],
)
def test_what_will_not_stay_healthy_is_noted(answers, note):
    health = check(Meta(**answers))
    assert health.state == "healthy"
    assert note in "; ".join(health.notes)
