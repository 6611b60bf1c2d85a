"""The same rules for Prometheus: alerting rules, and what a check found as metrics that these rules look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.exposition import Gauge, Sample, text
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import SILENT_S, Rule
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_verdicts import WORST

VALUE, LIMIT, VERDICT = "rollback_trigger_value", "rollback_trigger_limit", "rollback_trigger_verdict"
HELD, CHECKED = "rollback_trigger_held", "rollback_trigger_checked_timestamp_seconds"


def alerts(rules: Sequence[Rule]) -> dict[str, Any]:
    """A file of alerting rules as data. An alert has the labels ``trigger``, ``severity``, ``level`` and ``demand``."""
    silent = {
        "alert": "RollbackTriggersSilent",
        "expr": f"absent({CHECKED}) or time() - {CHECKED} > {SILENT_S:g}",
        "for": "1m",
        "labels": {"severity": "warning"},
        "annotations": {"summary": "the triggers are not checked, so nothing else here can fire"},
    }
    return {"groups": [{"name": "rollback_triggers", "rules": [*map(_alert, rules), silent]}]}


def _alert(rule: Rule) -> dict[str, Any]:
    labels = {"trigger": rule.name, "severity": rule.severity, "level": rule.level, "demand": rule.demand}
    return {
        "alert": "Rollback" + "".join(part.capitalize() for part in rule.name.split("_")),
        "expr": expression(rule),
        "for": f"{round(rule.for_s)}s",
        "labels": {name: text for name, text in labels.items() if text},
        "annotations": {
            "summary": rule.text or rule.name,
            "description": f"{rule.source} {rule.measure} is {{{{ $value }}}}, the limit is {rule.limit:g}",
        },
    }


def expression(rule: Rule) -> str:
    """Wrong by the value of the last check, or by Prometheus' own; never while triggers are held back."""
    sign = ">" if rule.above is not None else "<"
    value = rule.query if rule.source == "prometheus" else f'{VALUE}{{trigger="{rule.name}"}}'
    wrong = f"({value}) {sign} {rule.limit:g}"
    if rule.missing == "wrong":
        wrong = f"(({wrong}) or absent({value}))"
    return f"{wrong} unless on() ({HELD} == 1)"


def exposition(found: Mapping[str, Any], now: float) -> str:
    """What ``trigger_check.check`` returned, in Prometheus' text format; a rule that can tell nothing has no value."""
    rules = found["rules"]
    verdicts: list[Sample] = [
        ({"trigger": one["name"], "verdict": verdict}, int(one["verdict"] == verdict))
        for one in rules
        for verdict in WORST
    ]
    held = int(bool(found["held"]))
    return text(
        [
            Gauge(VALUE, "Newest value of a rule.", [({"trigger": one["name"]}, one["value"]) for one in rules]),
            Gauge(LIMIT, "Where a value becomes wrong.", [({"trigger": one["name"]}, one["limit"]) for one in rules]),
            Gauge(VERDICT, "1 for the verdict that a rule has.", verdicts),
            Gauge(HELD, "1 while nothing may fire: in a cool-down, or while the system is changed.", [({}, held)]),
            Gauge(CHECKED, "When the triggers were checked last.", [({}, round(now))]),
        ]
    )
