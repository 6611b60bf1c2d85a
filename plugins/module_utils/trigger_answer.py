"""What follows from the last check of triggers: a rollback by itself, a question to somebody, or nothing.

Whoever noticed only wakes this up. It is decided on what the state host remembers, never on what was sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.impact_state import seconds_of
from ansible_collections.campaign.rollback.plugins.module_utils.leases import clock
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_check import Hold
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import LEVELS, SILENT_S, Rule
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_verdicts import FIRED

START, ASK, NOTHING = "start", "ask", "nothing"
#: Operator of what starts by itself, in the records of runs.
AUTOMATIC = "automatic"


def answer(
    rules: Sequence[Rule],
    remembered: Mapping[str, Any],
    now: float,
    hold: Hold,
    automatic: Collection[str],
    point: Mapping[str, Any],
    recent: Sequence[Mapping[str, Any]] = (),
    stopped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """``{do, why, level, fired, restore_point, next_step}``.

    ``remembered`` is ``trigger_state.Memory.data``, ``automatic`` the levels that may start by themselves, ``point``
    the manifest that a rollback would go back to, empty if there is none, ``recent`` and ``stopped`` what
    ``impact_state.latest_runs`` and ``impact_state.unfinished`` found.
    """
    fired, checked_at = _fired(rules, remembered, hold)
    level = max((rule.level for rule in rules if rule.name in fired), key=LEVELS.index, default="")
    do, why = _decided(fired, level, checked_at, now, hold, automatic, point)
    against = _against(fired, point, recent, stopped or {}) if do == START else ""
    if against:
        do, why = ASK, f"{why}: level {level} would start by itself, but {against}"
    return {
        "do": do,
        "why": why,
        "level": level,
        "fired": list(fired),
        "restore_point": str(point.get("id", "")),
        "next_step": "ansible-playbook playbooks/assess-rollback.yml" if against else _next_step(do, level),
    }


def _fired(rules: Sequence[Rule], remembered: Mapping[str, Any], hold: Hold) -> tuple[dict[str, float], float]:
    """Rules that fired by the last check with the time since when it is wrong, and the time of that check."""
    verdicts = remembered.get("verdicts", {})
    checked_at = max((one["at"] for known in verdicts.values() for one in known.values()), default=0.0)
    if checked_at < hold.not_before:
        return {}, checked_at
    found = {}
    for rule in rules:
        since = [one["since"] for one in verdicts.get(rule.name, {}).values() if one["verdict"] == FIRED]
        if since:
            found[rule.name] = min(since)
    return found, checked_at


def _decided(
    fired: Mapping[str, float],
    level: str,
    checked_at: float,
    now: float,
    hold: Hold,
    automatic: Collection[str],
    point: Mapping[str, Any],
) -> tuple[str, str]:
    if hold.reason:
        return NOTHING, hold.reason
    if now - checked_at > SILENT_S:
        return NOTHING, f"the triggers were checked last {clock(checked_at) if checked_at else 'never'}"
    if not fired:
        return NOTHING, f"no trigger fired by the check of {clock(checked_at)}, or the system was changed after it"
    told = "; ".join(f"{name} since {clock(since)}" for name, since in fired.items())
    if not level:
        return ASK, f"{told}: no level is recommended"
    if level not in automatic:
        return ASK, f"{told}: level {level} does not start by itself, triggers_automatic names {_listed(automatic)}"
    if not point.get("known_good"):
        state = f"restore point {point['id']} is not known good" if point else "there is no restore point"
        return ASK, f"{told}: level {level} would start by itself, but {state}"
    return START, told


def _against(
    fired: Mapping[str, float],
    point: Mapping[str, Any],
    recent: Sequence[Mapping[str, Any]],
    stopped: Mapping[str, str],
) -> str:
    """Why somebody has to decide although the level may start by itself, empty if nothing is against it."""
    if stopped:
        return f"{stopped['kind']} {stopped['id']} stopped half way, and whoever stopped it decides how it goes on"
    tried = [run for run in recent if run["operator"] == AUTOMATIC and run["restore_point"] == point["id"]]
    if tried:
        return f"{tried[0]['id']} went to restore point {point['id']} by itself already and ended {tried[0]['state']}"
    if seconds_of(point["id"]) > min(fired.values()):
        return f"restore point {point['id']} was taken after this began"
    return ""


def _listed(levels: Collection[str]) -> str:
    return ", ".join(level for level in LEVELS if level in levels) or "none"


def _next_step(do: str, level: str) -> str:
    """The command for whoever decides; it prints the plan first."""
    playbook = "check-triggers" if do == NOTHING else f"rollback-{level}" if level else "assess-rollback"
    return f"ansible-playbook playbooks/{playbook}.yml"
