"""What is done with each WhatsApp session: nothing, start it again, restore it, or have its phone linked again.

In this order, because each is more intrusive than the one before it. Not being connected proves nothing against a
session; an older copy is put in its place only if the disk or the service itself says that it is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ansible_collections.campaign.rollback.plugins.module_utils.session_process import Holder
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import (
    BROKEN,
    CONNECTED,
    LOGGED_OUT,
    NOT_ASKED,
    SILENT,
    Stated,
)

ACTIONS = NONE, RESTART, RESTORE, LINK, REFUSE, GIVE_UP = "none", "restart", "restore", "link", "refuse", "give_up"


@dataclasses.dataclass
class Evidence:
    """Everything known of one account.

    ``disk`` says why its folder cannot be used, empty if it can; ``copy`` names the newest valid copy; ``same_device``
    is whether live folder and copy are known to be the same linked device, None if that cannot be known.
    """

    stated: Stated
    disk: str
    copy: str
    same_device: bool | None
    holders: list[Holder]
    twins: list[str]
    restarted: bool = False


@dataclasses.dataclass
class Decision:
    """What to do with one account, and why, in words."""

    action: str
    why: str


def decide(found: Evidence) -> Decision:
    """The least intrusive thing that can help."""
    word = f"the service says {found.stated.word or found.stated.meaning}"
    if len(found.holders) > 1:
        return Decision(REFUSE, "two processes run it: " + ", ".join(map(str, found.holders)))
    if found.twins:
        return Decision(REFUSE, "the same device is also in " + ", ".join(found.twins))
    if found.stated.meaning == CONNECTED:
        return Decision(NONE, f"on disk {found.disk}; the service runs on what it has loaded" if found.disk else "")
    if found.stated.meaning == LOGGED_OUT:
        return logged_out(found, word)
    if found.disk:
        # A start on a broken folder mends nothing, and may write a new device over it.
        return restore_or_link(found, found.disk)
    if found.stated.meaning == NOT_ASKED:
        # Nothing is known against it, and it may well be connected.
        return Decision(GIVE_UP, found.stated.word)
    if found.stated.meaning == SILENT:
        word = f"the service does not answer ({found.stated.word})"
    if not found.restarted:
        return Decision(RESTART, word)
    if found.stated.meaning == BROKEN:
        return restore_or_link(found, word + ", also after a restart")
    return Decision(GIVE_UP, f"{word}, also after a restart; its folder is sound, so the cause is elsewhere")


def logged_out(found: Evidence, word: str) -> Decision:
    """The phone has unlinked the device, and no copy of that device is worth anything; one of another device may be."""
    if found.copy and found.same_device is False:
        return Decision(RESTORE, f"{word}, and the copy is another device than the live one")
    return Decision(LINK, word)


def restore_or_link(found: Evidence, reason: str) -> Decision:
    """Proven broken: a valid copy, or the phone."""
    return Decision(RESTORE, reason) if found.copy else Decision(LINK, reason + ", and there is no valid copy")


@dataclasses.dataclass
class Attempts:
    """How often a restart is tried: ``pause_s`` seconds to come up the first time, twice as long each further time."""

    most: int
    pause_s: float
    poll_s: float = 0.5

    def pauses(self) -> list[float]:
        """Seconds granted to each attempt."""
        return [self.pause_s * 2**number for number in range(self.most)]


def wait_for(state: Callable[[], Stated], wait_s: float, poll_s: float, sleep: Callable[[float], None]) -> Stated:
    """Last state of an account once it says something definite, or after ``wait_s`` seconds."""
    found = state()
    for _poll in range(round(wait_s / poll_s)):
        if found.meaning in (CONNECTED, LOGGED_OUT):
            break
        sleep(poll_s)
        found = state()
    return found


def restart(
    start: Callable[[Stated], str],
    state: Callable[[], Stated],
    attempts: Attempts,
    grace_s: float,
    sleep: Callable[[float], None],
) -> tuple[Stated, int]:
    """Start until the account is connected, or logged out for good; returns its last state and how often was tried.

    What was started a moment ago gets ``grace_s`` seconds first. ``start`` is given the last state and returns why it
    did not work, empty if it did; the time of the attempt is waited for all the same.
    """
    found, tried = wait_for(state, grace_s, attempts.poll_s, sleep), 0
    for pause in attempts.pauses():
        if found.meaning in (CONNECTED, LOGGED_OUT):
            break
        tried += 1
        problem = start(found)
        found = wait_for(state, pause, attempts.poll_s, sleep)
        if problem and found.meaning == SILENT:
            found = Stated(SILENT, problem)
    return found, tried
