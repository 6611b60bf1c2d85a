"""The smallest rollback that covers the evidence, and why. Rules are data; nothing here knows what was looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.impact_evidence import KINDS, Evidence

#: What evidence can ask for; each level covers some of it.
NEEDS = ("function", "frontend", "code", "structure", "data", "sessions")
NONE, SESSIONS, RESUME = "none", "recover-whatsapp", "resume-rollback"
WHERE = "impact_rules"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What evidence of one kind asks for.

    ``migrated_needs`` come on top where migrations ran since the restore point. Evidence of the kinds ``explains`` is
    believed to follow from this one, that of ``explains_there`` only on the same host. ``advice`` is what to do beside
    or instead of a rollback.
    """

    evidence: str
    needs: tuple[str, ...] = ()
    migrated_needs: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    explains_there: tuple[str, ...] = ()
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Level:
    """A level of rollback with the needs that it ``covers``; ``refused`` says why it cannot be done now."""

    name: str
    covers: tuple[str, ...]
    refused: tuple[str, ...] = ()


def parse_rules(declared: Sequence[Mapping[str, Any]]) -> dict[str, Rule]:
    """Rules of the inventory by kind of evidence; a later one of the same kind replaces an earlier one."""
    rules = {}
    known = {field.name for field in dataclasses.fields(Rule)}
    for entry in declared:
        unknown = sorted(set(entry) - known)
        names = ("needs", "migrated_needs", "explains", "explains_there")
        lists = {name: tuple(entry.get(name) or ()) for name in names}
        strange = sorted({*lists["needs"], *lists["migrated_needs"]} - set(NEEDS)) + sorted(
            {entry.get("evidence", ""), *lists["explains"], *lists["explains_there"]} - set(KINDS)
        )
        if unknown or strange:
            raise RollbackError(
                "A rule names evidence and what it asks for in known words",
                found=", ".join([*unknown, *map(str, strange)]),
                where=WHERE,
            )
        rules[entry["evidence"]] = Rule(entry["evidence"], **lists, advice=str(entry.get("advice", "")))
    return rules


def recommend(
    evidence: Sequence[Evidence],
    rules: Mapping[str, Rule],
    levels: Sequence[Level],
    migrated: bool = False,
    same_code: bool = False,
) -> dict[str, Any]:
    """What to do: ``action``, and lists ``{also, needs, because, noted, explained, unhelped, refused, advice}``.

    ``levels`` are ordered from the smallest to the largest. ``migrated`` says that migrations ran since the restore
    point, ``same_code`` that the live code is the restore point's, so that no rollback brings another one. ``action``
    is a level, ``recover-whatsapp``, ``resume-rollback`` or ``none``; ``refused`` are smaller levels that would do and
    cannot be done, and all that would do if ``action`` is ``none``. No rollback helps against what is ``unhelped``, and
    none is needed for what is ``noted``.
    """
    everywhere = {kind for one in evidence for kind in rules.get(one.kind, Rule(one.kind)).explains}
    there = {(kind, one.where) for one in evidence for kind in rules.get(one.kind, Rule(one.kind)).explains_there}
    needs: set[str] = set()
    told: dict[str, list[str]] = {"because": [], "noted": [], "explained": [], "unhelped": []}
    advice: list[str] = []
    for one in evidence:
        rule = rules.get(one.kind, Rule(one.kind))
        asked = set(rule.needs) | (set(rule.migrated_needs) if migrated else set())
        reachable = asked - ({"code"} if same_code else set())
        text = f"{one.where}: {one.detail}"
        if one.kind in everywhere or (one.kind, one.where) in there:
            told["explained"].append(text)
            continue
        told["because" if reachable else "unhelped" if asked else "noted"].append(text)
        needs |= reachable
        advice += [rule.advice] if rule.advice and rule.advice not in advice else []
    found: dict[str, Any] = {**told, "needs": [need for need in NEEDS if need in needs], "advice": advice}
    if any(one.kind == "run_unfinished" for one in evidence):
        return {**found, "action": RESUME, "also": [], "refused": []}
    return {**found, **choose(needs, levels)}


def choose(needs: set[str], levels: Sequence[Level]) -> dict[str, Any]:
    """The first of ``levels`` that covers ``needs`` and can be done; sessions have their own recovery."""
    lasting = needs - {"sessions"}
    if not lasting:
        return {"action": SESSIONS if needs else NONE, "also": [], "refused": []}
    refused: list[dict[str, Any]] = []
    for level in levels:
        if not lasting <= set(level.covers):
            continue
        if not level.refused:
            also = [SESSIONS] if "sessions" in needs - set(level.covers) else []
            return {"action": level.name, "also": also, "refused": refused}
        refused.append({"level": level.name, "why": list(level.refused)})
    return {"action": NONE, "also": [SESSIONS] if "sessions" in needs else [], "refused": refused}
