"""Filters that put together what an assessment saw, and show it."""

from __future__ import annotations

import dataclasses

from ansible.errors import AnsibleFilterError
from ansible_collections.campaign.rollback.plugins.filter.run import run_components_of, run_plan
from ansible_collections.campaign.rollback.plugins.module_utils import impact_evidence, impact_levels, recommendation
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

DOCUMENTATION = r"""
name: impact_assessment
short_description: Put together what an assessment saw, and recommend the smallest rollback that covers it
version_added: 0.1.0
description:
  - Takes what the hosts said (C(impact_found), C(run_answers)), what was seen from outside, and the state host's part.
  - A host without C(impact_found) did not answer.
positional: hostvars, seen
options:
  _input:
    description: Names of the planned hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable of the same name.
    type: dict
    required: true
  seen:
    description: Everything else, see C(tasks/conclude.yml) of the role impact.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Conclude
  ansible.builtin.set_fact:
    impact_assessment: "{{ groups.rollback_targets | campaign.rollback.impact_assessment(hostvars, impact_seen) }}"
"""

RETURN = r"""
_value:
  description: The assessment, which is what C(artifacts/assessment.json) holds.
  type: dict
"""


def impact_assessment(hosts, hostvars, seen):
    """What was seen, the evidence in it, what each level would do, and which one is recommended."""
    found = {host: plain(hostvars[host].get("impact_found")) for host in hosts}
    components = [name for name in seen["component_groups"] if name != "gate"]
    groups = {name: seen["component_groups"][name] for name in components}
    own = {host: run_components_of(components, groups, hostvars[host]["group_names"]) for host in hosts}
    silent = {host: own[host] for host in hosts if not found[host]}
    try:
        levels = levels_of(hosts, hostvars, seen, silent)
        evidence = evidence_of(found, own, seen)
        rules = recommendation.parse_rules(seen["rules"])
        recommended = recommendation.recommend(
            evidence,
            rules,
            [recommendation.Level(level["name"], tuple(level["covers"]), tuple(level["refused"])) for level in levels],
            bool(newer_migrations(found, seen["target"])),
            same_code(found, seen["target"]),
        )
    except (RollbackError, TypeError) as error:
        raise AnsibleFilterError(str(error)) from error
    kept = ("at", "environment", "operator", "reason", "window_s", "deciders", "checks", "state", "target_problem")
    return {
        "schema": 1,
        **{name: seen[name] for name in kept},
        "target": {name: seen["target"].get(name) for name in ("id", "known_good")} if seen["target"] else {},
        "newer_migrations": newer_migrations(found, seen["target"]),
        "silent": sorted(silent),
        "hosts": found,
        "levels": levels,
        "evidence": [dataclasses.asdict(one) for one in evidence],
        "recommendation": recommended,
    }


#: What the module impact_info returns; Ansible adds its own, at -vvv the arguments too.
PARTS = (
    *("since", "problems", "memory", "processes", "services", "traffic", "log"),
    *("code", "queue", "sessions", "database", "backups"),
)


def plain(result):
    """A registered result without what Ansible adds to it; empty if the host did not answer."""
    if not result or result.get("unreachable"):
        return {}
    # Without problems it did not come to an end, and says why.
    told = {"problems": {"this host": result.get("msg", "no answer")}, **result}
    return {name: told[name] for name in PARTS if name in told}


def levels_of(hosts, hostvars, seen, silent):
    """Every level that exists, the smallest first; one that the role impact does not know covers nothing."""
    declared = {level["name"]: level for level in seen["levels"]}
    order = [name for name in declared if name in seen["known_levels"]]
    order += sorted(set(seen["known_levels"]) - set(declared))
    missing = "" if seen["target"] else f"there is no restore point to go back to: {seen['target_problem']}"
    found = []
    for name in order:
        known = seen["known_levels"][name]
        answers = {host: (hostvars[host].get("run_answers") or {}).get(name, {}) for host in hosts}
        facts = {
            host: {
                "run_host_components": list(own),
                **{f"{component}_assessment": row for component, row in own.items()},
            }
            for host, own in answers.items()
        }
        rows = run_plan(hosts, facts, known["components"])
        runs = seen["state"].get("runs", [])
        found.append(impact_levels.describe(name, known, declared.get(name, {}), rows, silent, runs, missing))
    return found


def evidence_of(found, own, seen):
    """Evidence of all kinds, that which explains other evidence first."""
    limits = impact_evidence.Limits(**seen["limits"])
    unfinished = seen["state"].get("unfinished") or {}
    evidence = []
    if unfinished:
        text = "{kind} {id} stopped half way, state {state}".format(**unfinished)
        evidence.append(impact_evidence.Evidence("run_unfinished", "run", text))
    queues = {host for host, said in found.items() if "queue" in said or "queue" in said.get("problems", {})}
    stores = queues | {host for host in found if "database" in own[host]}
    known = seen["target"].get("baseline") or {}
    measured = [known.get("probes") or {}, *(host.get("routes") or {} for host in (known.get("hosts") or {}).values())]
    baseline = [float(entry.get("p95", 0)) for part in measured for entry in part.values()]
    evidence += impact_evidence.of_hosts(found, stores, limits, max(baseline, default=0))
    evidence += impact_evidence.of_builds(found)
    silent_sessions = any(not found[host] for host in found if "whatsapp_session" in own[host])
    sessions_failed = silent_sessions or any(one.kind == "session_failed" for one in evidence)
    if seen["checks_problem"]:
        evidence.append(impact_evidence.Evidence("not_read", "from outside", seen["checks_problem"]))
    return evidence + impact_evidence.of_checks(seen["checks"], parts_of(seen), sessions_failed)


def parts_of(seen):
    """Check to the part that it stands for: what the inventory says, else the first function that has it as a test."""
    tests = [
        (test["name"] if isinstance(test, dict) else test, name)
        for name, function in seen["functions"].items()
        for test in function.get("tests", [])
    ]
    return {**dict(reversed(tests)), **seen["parts"]}


def newer_migrations(found, target):
    """Migrations that ran since the restore point."""
    before = (target.get("database") or {}).get("migrations")
    after = [(said.get("database") or {}).get("migrations") for said in found.values()]
    return sorted({name for names in after if names and before is not None for name in names} - set(before or []))


def same_code(found, target):
    """Whether every host that serves the application already has the restore point's commit."""
    commits = {said["code"]["commit"] for said in found.values() if said.get("code")}
    return bool(target) and commits == {(target.get("application") or {}).get("commit")}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {"impact_assessment": impact_assessment}
