"""Filters that a run uses to look at all of its hosts at once."""

from __future__ import annotations

import json

DOCUMENTATION = r"""
name: run_failures
short_description: What failed so far on the planned hosts of a run
version_added: 0.1.0
description:
  - Collects what each of the planned hosts recorded, and names those that are not there any more.
  - An unreachable host runs neither rescue nor always, so only its absence tells.
positional: hostvars, present, phase
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
  present:
    description: Hosts that are left in the play, as C(ansible_play_hosts) says.
    type: list
    elements: str
    required: true
  phase:
    description: Name of the phase that begins.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Stop before the switch if anything failed
  ansible.builtin.set_fact:
    run_go: "{{ ['web1'] | campaign.rollback.run_failures(hostvars, ansible_play_hosts, 'stage') | length == 0 }}"
"""

RETURN = r"""
_value:
  description: One entry a host that failed, with C(host), C(phase), C(task) and C(error).
  type: list
  elements: dict
"""


def run_failures(planned, hostvars, present, phase):
    """What the planned hosts recorded as failed, and those of them that are not ``present`` any more."""
    found = []
    for host in planned:
        failure = hostvars[host].get("run_failure")
        if failure:
            found.append({"host": host, **failure})
        elif host not in present:
            reason = "it did not answer, or failed above"
            found.append({"host": host, "phase": phase, "task": "connect", "error": reason})
    return found


def run_components_of(components, groups_of, group_names):
    """Components that the host with these groups takes part in, in order."""
    return [component for component in components if set(groups_of[component]) & set(group_names)]


def run_components_for(components, selection):
    """Those of the components that have a part in what belongs to functions; processes take it over in any case."""
    parts = {"application": "files", "env_restore": "env", "database": "migrations"}
    return [component for component in components if component == "services" or selection.get(parts.get(component))]


def run_groups_of(components, groups_of, group_names, has_queue=False):
    """Groups of a run that the host with these inventory groups belongs to.

    ``rollback_<component>`` for each component. A host that runs code but has no gate serves no user directly, so it is
    switched before users are held back: it is in ``rollback_early``, every other one in ``rollback_late_<component>``.
    """
    own = run_components_of(components, groups_of, group_names)
    # Where users are held back in front of the web hosts, or queued jobs lie on the host, nothing is early.
    behind = set(groups_of["gate"]) <= set(groups_of["application"])
    early = "application" in own and "gate" not in own and behind and not has_queue
    groups = [f"rollback_{component}" for component in own]
    return groups + (["rollback_early"] if early else [f"rollback_late_{component}" for component in own])


#: What a recovery does with a session, as a plan says it.
DOES = {
    "none": "nothing",
    "restart": "start again, restore if the service calls it broken after that",
    "restore": "restore the newest copy, start again",
    "link": "nothing; a PHONE HAS TO BE LINKED AGAIN",
    "refuse": "refuse",
    "give_up": "nothing",
}

#: Components that are the same on every host, with what must not differ between hosts.
FLEET_WIDE = {"application": "commit", "frontend": "build_digest", "database": "schema_digest"}


def run_manifest(planned, hostvars, components):
    """The captures of all hosts as the body of a manifest; ``problems`` says what is missing or contradicts itself."""
    manifest, problems = {}, []
    for component in components:
        captures = {
            host: hostvars[host].get(component + "_captured")
            for host in planned
            if component in hostvars[host].get("run_host_components", [component])
        }
        problems += [f"{component} of {host} was not captured" for host, capture in captures.items() if capture is None]
        present = {host: capture for host, capture in captures.items() if capture is not None}
        if component in FLEET_WIDE:
            identity = FLEET_WIDE[component]
            found = {str(capture[identity]) for capture in present.values()}
            if len(found) > 1:
                problems.append(f"{component}: the hosts differ in {identity}, {', '.join(sorted(found))}")
            manifest[component] = next(iter(present.values()), {})
        else:
            manifest[component] = present
    return {**manifest, "problems": problems}


def run_plan(planned, hostvars, components):
    """One row for each component and host from what the component's assess recorded."""
    rows = []
    for component in components:
        for host in planned:
            if component in hostvars[host].get("run_host_components", []):
                row = hostvars[host].get(component + "_assessment") or {"can": False, "reason": "no answer"}
                until = row.get("reversible", "")
                rows.append({"component": component, "host": host, **row, "reversible until": until})
    return rows


def run_chain(records, undone):
    """What becomes of an undone run, of the run that it had undone, and so on: ``{id, state}``, farthest first."""
    by_id = {record["id"]: record for record in records}
    chain, in_force, state = [], False, ""
    while undone in by_id:
        chain.insert(0, {"id": undone, "state": state if in_force else "undone"})
        state = by_id[undone].get("reverted_state") or "success"
        undone, in_force = by_id[undone].get("reverts"), not in_force
    return chain


def run_undo_plan(planned, hostvars):
    """One row for each change that is in place, from the journals of all hosts, newest first on each host."""
    rows = []
    for host in planned:
        for step in hostvars[host].get("run_journal", {}).get("to_undo", []):
            row = {"component": step["component"], "host": host, "what": step["name"], "state": step["state"]}
            rows.append({**row, "how": "put back what was replaced", "can": True})
    return rows


def run_refusals(rows, failures):
    """Why the planned run cannot be done, one sentence each; hosts that do not answer are named once."""
    silent = {failure["host"] for failure in failures}
    lines = ["{host}: {error} ({task})".format(**failure) for failure in failures]
    refused = [row for row in rows if not row["can"] and row["host"] not in silent]
    lines += ["{component} on {host}: {reason}".format(**row) for row in refused]
    return [line.rstrip(". ") for line in lines]


def run_preflight_problems(hosts, hostvars):
    """What the preflight of all hosts found, one sentence each."""
    found = {host: hostvars[host].get("run_preflight") or {} for host in hosts}
    return [
        f"{host}: {problem}".rstrip(". ") for host, answer in found.items() for problem in answer.get("problems", [])
    ]


def run_projection(progress, began, now, deadline):
    """When a job that reports its progress would end: ``{text, breach, finish}``.

    ``progress`` is the text of its progress file, empty if there is none; times are Unix seconds.
    """
    left = f"{deadline - now:.0f} s are left of the budget"
    try:
        share = json.loads(progress)
        share = share["done"] / share["total"]
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        share = 0
    if not share:
        return {"text": f"under way since {now - began:.0f} s, {left}", "breach": now > deadline, "finish": 0}
    finish = began + (now - began) / share
    text = f"{share:.0%} done, about {finish - now:.0f} s to go, {left}"
    return {
        "text": text + ("; it will NOT fit" if finish > deadline else ""),
        "breach": finish > deadline,
        "finish": finish,
    }


def run_causes(failures, most=5):
    """The failures as one sentence."""
    lines = ["{host}: {task}: {error}".format(**failure).rstrip(". ") for failure in failures]
    return "; ".join(lines[:most]) + (f"; and {len(lines) - most} more" if len(lines) > most else "")


def run_gated(hosts, hostvars):
    """Why users cannot go on working while the run switches, a sentence each, from the ``<component>_gated`` facts."""
    reasons = []
    for host in hosts:
        for component in hostvars[host].get("run_host_components", []):
            reason = hostvars[host].get(component + "_gated")
            reasons += [f"{component} on {host}: {reason}"] if reason else []
    return reasons


def run_session_rows(hosts, hostvars):
    """One row for each WhatsApp account from what the comparison of its host recorded."""
    rows = []
    for host in hosts:
        for account, found in hostvars[host].get("whatsapp_session_found", {}).items():
            row = {"account": account, "host": host, "service": found["word"] or found["stated"]}
            row.update({"disk": found["disk"] or "sound", "newest copy": found["copy"], "why": found["why"]})
            rows.append({**row, "does": DOES[found["action"]]})
        for account, found in hostvars[host].get("whatsapp_session_cloud_found", {}).items():
            why = "; ".join(found["reasons"] + found["notes"])
            row = {"account": account, "host": host, "service": f"cloud, {found['state']}"}
            rows.append({**row, "disk": "", "newest copy": "", "does": "nothing", "why": why})
    return rows


def run_session_twins(hosts, hostvars):
    """A row for the plan, and against it, for each linked device that more than one host has: it would live twice."""
    owners = {}
    for host in hosts:
        for account, found in hostvars[host].get("whatsapp_session_found", {}).items():
            if found["identity"]:
                owners.setdefault(found["identity"], []).append((host, account))
    return [
        {
            "component": "whatsapp_session",
            "host": others[0][0],
            "can": False,
            "reason": "one device on several hosts: " + ", ".join(f"{account} on {host}" for host, account in others),
        }
        for others in owners.values()
        if len({host for host, _account in others}) > 1
    ]


def run_recovery_rows(facts):
    """What the comparison and the dry run of a recovery say of a host, one row a table that is worth a look."""
    compared = (facts.get("database_compared") or {}).get("tables", {})
    planned = (facts.get("database_recoverable") or {}).get("tables", {})
    rows = []
    for name in sorted(set(compared) | set(planned)):
        found, plan = compared.get(name, {}), planned.get(name, {})
        notes = [plan.get("note"), found.get("note")]
        row = {
            "table": name,
            "policy": found.get("policy") or plan.get("policy", ""),
            "bring": plan.get("wanted", 0),
            "conflicts": plan.get("conflicts", 0),
            "reduced": plan.get("reduced", 0),
            "missing live": found.get("new"),
            "only live": found.get("deleted"),
            "changed": found.get("changed"),
            "note": "; ".join(note for note in notes if note),
        }
        rows.append({key: "?" if value is None else value for key, value in row.items()})
    return rows


def run_selection_lines(selection):
    """Which functions are restored and why, one line each; none where a run is not about functions."""
    why = selection.get("why", {})
    lines = []
    for name in selection.get("functions", []):
        reasons = why.get(name, [])
        told = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
        lines.append(f"Function {name}: {told or 'its tests pass, restored because it was named'}")
    works = selection.get("sound", [])
    return lines + ([f"These work and are left alone: {', '.join(works)}"] if works else [])


def run_recovered(result):
    """What a recovery brought, as lines: a table, and below it the rows that were refused."""
    rows = [{"table": name, **numbers} for name, numbers in sorted(result.get("tables", {}).items())]
    lines = run_table(rows, ["table", "policy", "brought", "overwritten", "conflicts", "reduced", "wanted", "note"])
    refused = ["{table} {id}: {reason}".format(**conflict) for conflict in result.get("conflicts", [])]
    return lines + (["", "Not brought:", *refused] if refused else [])


def run_recovered_rows(hosts):
    """What the recoveries of these hosts' facts brought: ``{rows, conflicts}`` of each table."""
    tables = [table for facts in hosts for table in (facts.get("database_recovered") or {}).get("tables", {}).values()]
    return [{"rows": table["brought"] + table["overwritten"], "conflicts": table["conflicts"]} for table in tables]


def run_verified(points, answers):
    """Manifests with what a test restore of their backups found: ``{manifest, row}`` each.

    ``answers`` is what each database host found, ``{id: {at, failed}}``. Where no host answered the manifest is None. A
    backup that cannot be restored makes its restore point no good one.
    """
    found = []
    for point in points:
        own = [answer[point["id"]] for answer in answers if point["id"] in answer]
        answer = next((one for one in own if one["failed"]), own[0] if own else {"at": "", "failed": "no answer"})
        manifest = {
            **point,
            "known_good": point["known_good"] and not answer["failed"],
            "database": {**point["database"], "verified": answer},
        }
        row = {
            "restore point": point["id"],
            "kind": point["database"].get("kind", ""),
            "restored in a test": answer["at"],
        }
        found.append({"manifest": manifest if own else None, "row": {**row, "why not": answer["failed"]}})
    return found


def run_table(rows, columns):
    """Rows of a table as aligned lines of plain text; text of several lines becomes one."""
    values = [columns] + [[row.get(column, "") for column in columns] for row in rows]
    cells = [[" ".join(str(text).split()) for text in line] for line in values]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {
            "run_causes": run_causes,
            "run_chain": run_chain,
            "run_components_for": run_components_for,
            "run_components_of": run_components_of,
            "run_failures": run_failures,
            "run_gated": run_gated,
            "run_groups_of": run_groups_of,
            "run_manifest": run_manifest,
            "run_plan": run_plan,
            "run_preflight_problems": run_preflight_problems,
            "run_projection": run_projection,
            "run_recovered": run_recovered,
            "run_recovered_rows": run_recovered_rows,
            "run_recovery_rows": run_recovery_rows,
            "run_refusals": run_refusals,
            "run_selection_lines": run_selection_lines,
            "run_session_rows": run_session_rows,
            "run_session_twins": run_session_twins,
            "run_table": run_table,
            "run_undo_plan": run_undo_plan,
            "run_verified": run_verified,
        }
