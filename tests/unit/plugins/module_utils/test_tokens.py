"""What an answer says about a token, and that nothing of the token is told."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import tokens

NOW = 1_800_000_000.0


def token(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"Bearer aaa.{part}.ccc"


@pytest.mark.parametrize(
    ("status", "text", "expires", "verdict"),
    [
        (200, "", None, "valid"),
        (204, "", NOW - 1, "valid"),
        (401, "", None, "refused"),
        (403, "", NOW + 1, "refused"),
        (401, "", NOW - 1, "expired"),
        (401, '{"message": "Token has expired"}', None, "expired"),
        (401, "unexpiredly", None, "refused"),
        (302, "", None, "refused"),
        (500, "Token has expired", None, "unknown"),
        (503, "", NOW - 1, "unknown"),
        (0, "", None, "unknown"),
    ],
)
def test_verdicts(status, text, expires, verdict):
    assert tokens.verdict(status, text, expires, NOW) == verdict


@pytest.mark.parametrize(
    ("given", "expires"),
    [
        (token(exp=1234), 1234.0),
        (token(sub="somebody"), None),
        (token(exp="never"), None),
        ("Bearer plain", None),
        ("Bearer a.b.c", None),
        ("", None),
        ("a.é.c", None),
    ],
)
def test_only_a_json_web_token_says_when_it_ends(given, expires):
    assert tokens.expiry_of(given) == expires


def test_details_tell_when_it_ends():
    assert tokens.detail(401, NOW - 43200, NOW) == "status 401, ended 0.5 days ago"
    assert tokens.detail(200, NOW + 86400, NOW) == "status 200, ends in 1.0 days"
    assert tokens.detail(0, None, NOW) == "no answer"
