"""What is done with a session: never more than the evidence asks for, and never for ever."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import session_recovery
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import Holder
from ansible_collections.campaign.rollback.plugins.module_utils.session_recovery import Attempts, Evidence, decide
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import NOT_ASKED, Stated

CONNECTED, FAILED, SILENT = Stated("connected", "open"), Stated("disconnected", "failed"), Stated("silent", "URLError")
BAD, OUT = Stated("broken", "bad_session"), Stated("logged out", "logged_out")
TORN = "creds.json is not whole JSON"
TWO = [Holder(100, "node"), Holder(200, "node")]


def evidence(stated, **known):
    values = {"disk": "", "copy": "20261121T174500Z", "same_device": True, "holders": [], "twins": []}
    return Evidence(stated, **{**values, **known})


@pytest.mark.parametrize(
    ("found", "action", "why"),
    [
        # What works is left alone, whatever the disk looks like: it runs on what it has loaded.
        (evidence(CONNECTED), "none", ""),
        (evidence(CONNECTED, disk=TORN, same_device=False), "none", "not whole JSON; the service runs on"),
        (evidence(CONNECTED, restarted=True), "none", ""),
        # Not being connected proves nothing.
        (evidence(FAILED), "restart", "says failed"),
        (evidence(SILENT), "restart", "does not answer"),
        (evidence(FAILED, restarted=True), "give_up", "sound, so the cause is elsewhere"),
        (evidence(SILENT, restarted=True), "give_up", "does not answer"),
        (evidence(SILENT, copy=""), "restart", "does not answer"),
        # The disk proves it.
        (evidence(FAILED, disk=TORN, same_device=False), "restore", TORN),
        (evidence(SILENT, disk=TORN, same_device=None), "restore", TORN),
        (evidence(FAILED, disk=TORN, copy="", same_device=None), "link", "no valid copy"),
        # The service's own word proves it, if a restart does not help.
        (evidence(BAD), "restart", "says bad_session"),
        (evidence(BAD, restarted=True), "restore", "also after a restart"),
        (evidence(BAD, restarted=True, copy="", same_device=None), "link", "no valid copy"),
        (evidence(BAD, disk=TORN, same_device=False), "restore", TORN),
        # A device that its phone has unlinked stays unlinked, whichever copy of it is put there.
        (evidence(OUT), "link", "says logged_out"),
        (evidence(OUT, restarted=True), "link", "says logged_out"),
        (evidence(OUT, same_device=None), "link", "says logged_out"),
        (evidence(OUT, disk=TORN, same_device=False), "restore", "another device"),
        (evidence(OUT, disk="creds.json has no me.id", copy="", same_device=None), "link", "says logged_out"),
        # Who could not be asked may well be connected.
        (evidence(Stated(NOT_ASKED, "no token")), "give_up", "no token"),
        (evidence(Stated(NOT_ASKED, "no token"), restarted=True), "give_up", "no token"),
        (evidence(Stated(NOT_ASKED, "no token"), disk=TORN), "restore", TORN),
        # Two live ones are an operator's decision.
        (evidence(CONNECTED, holders=TWO), "refuse", "process 100 (node), process 200 (node)"),
        (evidence(FAILED, disk=TORN, holders=TWO), "refuse", "two processes"),
        (evidence(FAILED, twins=["sales-old"]), "refuse", "sales-old"),
        (evidence(FAILED, holders=TWO[:1]), "restart", "says failed"),
    ],
)
def test_decision(found, action, why):
    decision = decide(found)
    assert (decision.action, why in decision.why) == (action, True), decision


class Account:
    """Says one word after the other, the last one for ever."""

    def __init__(self, *words):
        self.words = list(words)
        self.starts = 0
        self.slept = []

    def state(self):
        return self.words.pop(0) if len(self.words) > 1 else self.words[0]

    def start(self, _found):
        self.starts += 1
        return ""

    def restart(self, most=3, grace_s=0.0):
        attempts = Attempts(most, 2, poll_s=1)
        return session_recovery.restart(self.start, self.state, attempts, grace_s, self.slept.append)


def test_attempts_are_bounded_and_get_longer():
    account = Account(FAILED)
    assert account.restart() == (FAILED, 3)
    assert account.starts == 3
    assert sum(account.slept) == 2 + 4 + 8
    assert Attempts(4, 2).pauses() == [2, 4, 8, 16]


def test_the_first_success_ends_it():
    account = Account(FAILED, FAILED, FAILED, FAILED, CONNECTED)
    assert account.restart() == (CONNECTED, 2)


def test_a_connected_account_is_not_started():
    account = Account(CONNECTED)
    assert account.restart() == (CONNECTED, 0)
    assert (account.starts, account.slept) == (0, [])


def test_what_was_started_a_moment_ago_gets_its_time_first():
    account = Account(SILENT, SILENT, CONNECTED)
    assert account.restart(grace_s=5) == (CONNECTED, 0)


@pytest.mark.parametrize("before", [[], [FAILED, FAILED]])
def test_a_logged_out_account_is_not_tried_any_further(before):
    account = Account(*before, OUT)
    assert account.restart()[0] == OUT
    assert account.starts == bool(before)


def test_why_it_could_not_be_started_is_told():
    account = Account(SILENT)
    account.start = lambda _found: "it is not under pm2"
    assert account.restart(most=1) == (Stated("silent", "it is not under pm2"), 1)
