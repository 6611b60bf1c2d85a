"""Triggers of a rollback: what all hosts measured, the table of verdicts, and the rules for Prometheus."""

from __future__ import annotations

import time

from ansible_collections.campaign.rollback.plugins.filter.run import run_table
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_alerts as exported
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_rules

DOCUMENTATION = r"""
name: trigger_alerts
short_description: The rules of the triggers as alerting rules for Prometheus
version_added: 0.1.0
description:
  - Returns the content of a rule file. The alerts look at the metrics that M(campaign.rollback.trigger_check) returns.
options:
  _input:
    description: The inventory's rules, as for M(campaign.rollback.trigger_check).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Let Prometheus look as well
  ansible.builtin.copy:
    dest: /etc/prometheus/rules/rollback.yml
    content: "{{ triggers_rules | campaign.rollback.trigger_alerts | to_nice_yaml }}"
    mode: "0644"
"""

RETURN = r"""
_value:
  description: Groups of alerting rules.
  type: dict
"""


def trigger_alerts(declared):
    """The content of a rule file."""
    return exported.alerts(trigger_rules.parse(declared))


def trigger_series(hosts, hostvars):
    """What these hosts measured, all in one list."""
    return [one for host in hosts for one in (hostvars[host].get("triggers_measured") or {}).get("series", [])]


def trigger_silent(hosts, hostvars, sources_of):
    """Sources of each host that measured nothing, told from the components that it has a part in."""
    silent = {}
    for host in hosts:
        if "series" not in (hostvars[host].get("triggers_measured") or {}):
            components = hostvars[host].get("run_host_components", [])
            silent[host] = [source for source, component in sources_of.items() if component in ("", *components)]
    return silent


def clock(moment):
    """A Unix time as one reads it."""
    return time.strftime("%H:%M:%S", time.gmtime(moment)) if moment else ""


def shown(rule):
    """One row of the table."""
    value = "none" if rule["value"] is None else f"{rule['value']:g}"
    names = ("demand", "verdict", "where", "level")
    since = {"trigger": rule["name"], "value": value, "limit": f"{rule['limit']:g}", "since": clock(rule["since"])}
    return {**{name: rule[name] for name in names}, **since, "why": rule["why"] or rule["text"]}


def trigger_lines(found):
    """The table of verdicts, and the evidence of those that are not well."""
    columns = ["trigger", "demand", "verdict", "value", "limit", "since", "level", "where", "why"]
    lines = run_table([shown(rule) for rule in found["rules"]], columns)
    for rule in found["rules"]:
        if rule["verdict"] in ("fired", "pending", "inconclusive"):
            spans = [f"{clock(one['to'])} {one['value']} of {one['samples']}" for one in rule["values"]]
            lines += ["", f"{rule['name']}: {', '.join(spans)}", *["  " + place for place in rule["evidence"]]]
            lines += ["  " + note for note in rule["notes"]]
    return lines + (["", f"Nothing fires: {found['held']}"] if found["held"] else [])


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {
            "trigger_alerts": trigger_alerts,
            "trigger_lines": trigger_lines,
            "trigger_series": trigger_series,
            "trigger_silent": trigger_silent,
        }
