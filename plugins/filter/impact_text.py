"""An assessment as an operator reads it: one line a fact, aligned, numbers first."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.filter.run import run_table
from ansible_collections.campaign.rollback.plugins.module_utils.preflight import size

DOCUMENTATION = r"""
name: impact_lines
short_description: Show an assessment
version_added: 0.1.0
description:
  - Lines of plain text, without the recommendation, which is shown by C(impact_recommendation).
options:
  _input:
    description: What P(campaign.rollback.impact_assessment#filter) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the impact
  ansible.builtin.debug:
    msg: "{{ impact_assessment | campaign.rollback.impact_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def impact_lines(found):
    """Everything that was seen, and what each level would do."""
    hosts = found["hosts"]
    sections = {
        "Health, from outside": health(found["checks"]),
        "Hosts": [line for host in hosts for line in host_lines(host, hosts[host])],
        f"Requests of the last {found['window_s']} s": traffic(hosts),
        f"Errors in logs of the last {found['window_s']} s": logs(hosts),
        "Campaigns": campaigns(hosts),
        "Jobs": jobs(hosts),
        "WhatsApp sessions": sessions(hosts),
        "Rows at risk since the restore point": risk(found),
        "Backups": backups(found),
        "Code": code(hosts, found["newer_migrations"]),
        "Runs": runs(found["state"]),
        "Who may decide": [f"{level}: {', '.join(names)}" for level, names in found["deciders"].items()],
        "Levels": level_lines(found["levels"]),
    }
    lines = [f"{found['environment']} at {found['at']}, asked by {found['operator']}, reason: {found['reason']}"]
    for title, own in sections.items():
        lines += ["", title, *["  " + line for line in own or ["nothing was seen"]]]
    for level in found["levels"]:
        if level["rows"]:
            columns = ["component", "host", "now", "target", "how", "seconds", "reversible until", "reason"]
            lines += [
                "",
                f"What {level['name']} would do",
                *["  " + line for line in run_table(level["rows"], columns)],
            ]
    return lines


def known(value, unknown="unknown"):
    """A number, or a word where there is none: no data is not zero."""
    return unknown if value is None else value


def age(seconds):
    """A span as one reads it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def health(checks):
    """Each check on each web host."""
    rows = [
        {
            "check": check["name"],
            "host": check["target"],
            "status": check["status"] or "none",
            "seconds": f"{check['seconds']:.2f}",
            "result": "passed" if check["passed"] else f"FAILED: {check['detail']}",
        }
        for check in checks
    ]
    return run_table(rows, ["check", "host", "status", "seconds", "result"]) if rows else []


def host_lines(host, said):
    """Memory, processes, services, and what could not be read."""
    if not said:
        return [f"{host}: does not answer"]
    memory, services = said.get("memory"), said.get("services") or {}
    parts = [f"{memory['used_share']:.0%} of the memory used"] if memory else []
    parts += [
        f"{name} {process['count']} ({round(process['rss_bytes'] / 1048576)} MB)"
        for name, process in (said.get("processes") or {}).items()
    ]
    down = services.get("serving", []) + services.get("working", [])
    parts += ["NOT ACTIVE " + " ".join(down)] if down else []
    parts += [f"{services['memory_exits']} ended because of memory"] if services.get("memory_exits") else []
    lines = [f"{host}: {', '.join(parts)}"]
    return lines + [f"{host}: {part} was NOT READ: {why}" for part, why in (said.get("problems") or {}).items()]


def traffic(hosts):
    """Requests of each web host."""
    rows = []
    for host, said in hosts.items():
        own = said.get("traffic")
        if own:
            share = "unknown" if own["error_share"] is None else f"{own['error_share']:.1%}"
            names = {"requests": "requests", "errors": "5xx", "held_back": "held back", "given_up": "given up"}
            row = {shown: own[name] for name, shown in names.items()}
            times = {"average s": known(own["average_s"]), "p95 s": known(own["p95_s"])}
            note = "" if own["complete"] else "older lines were not read"
            rows.append({"host": host, **row, "share": share, **times, "note": note})
    columns = ["host", "requests", "5xx", "share", "average s", "p95 s", "held back", "given up", "note"]
    return run_table(rows, columns) if rows else []


def logs(hosts):
    """Errors of each host's log."""
    lines = []
    for host, said in hosts.items():
        own = said.get("log")
        if own:
            parts = [f"{own['errors']} errors"] + [f"{count} {name}" for name, count in own["matching"].items()]
            parts += [f"{count} x {name}" for name, count in own["classes"].items()]
            lines.append(f"{host}: {', '.join(parts)}{'' if own['complete'] else '; older lines were not read'}")
    return lines


def campaigns(hosts):
    """Answers to the declared queries."""
    lines = []
    for said in hosts.values():
        for figure in (said.get("database") or {}).get("figures", []):
            answers = [", ".join(f"{name} {known(value)}" for name, value in row.items()) for row in figure["rows"]]
            told = figure["problem"] and f"NOT KNOWN: {figure['problem']}"
            lines += [f"{figure['name']}: {answer}" for answer in answers or [told or "none"]]
    return lines


def jobs(hosts):
    """Queued jobs."""
    return [
        f"{host}: " + ", ".join(f"{known(count)} {kind.replace('_', ' ')}" for kind, count in said["queue"].items())
        for host, said in hosts.items()
        if said.get("queue")
    ]


def sessions(hosts):
    """State of each account."""
    return [
        f"{account} on {host}: {state}"
        for host, said in hosts.items()
        for account, state in (said.get("sessions") or {}).items()
    ]


def risk(found):
    """Rows that were added since the restore point."""
    lines = []
    for host, said in found["hosts"].items():
        own = (said.get("database") or {}).get("rows_at_risk")
        if own:
            lines.append(f"{host}: {own['total']} rows were added since {found['target']['id']}")
            lines += [f"{host}: {count} in {name}" for name, count in own["tables"].items()]
            if own["not_counted"]:
                lines.append(f"{host}: not counted: {', '.join(own['not_counted'])}")
    if lines:
        lines.append("A rollback of the data brings added rows back by itself; changed ones take recover-campaigns.yml")
    return lines or ([] if found["target"] else [f"not known: {found['target_problem']}"])


def backups(found):
    """Restore points, what was proven of them, and the copies that take up disk."""
    state, hosts = found["state"], found["hosts"]
    present = {name: entry for said in hosts.values() for name, entry in (said.get("backups") or {}).items()}
    lines = [point_line(point, present.get(point["id"], {})) for point in state.get("points", [])]
    lines = lines or ["there is no restore point" if state else "not known: the state host gave no answer"]
    lines += [f"dump {dump['path']}, {size(dump['bytes'])}, UNVERIFIED" for dump in state.get("dumps", [])]
    for host, said in hosts.items():
        database = said.get("database") or {}
        standby = database.get("standby")
        if standby:
            of = f"of {standby['point']}" if standby["point"] else "of NO restore point that is known"
            touched = "as it was verified" if standby["untouched"] else "maybe written to since, is checked when used"
            lines.append(f"{host}: standby {standby['schema']} {of}, {size(standby['bytes'])}, {touched}")
        lines += [f"{host}: attic {name}, {size(own)}" for name, own in (database.get("attics") or {}).items()]
        if database.get("free_bytes") is not None:
            lines.append(
                f"{host}: {size(database['free_bytes'])} free, the live schema takes {size(database['bytes'])}"
            )
    return lines


def point_line(point, present):
    """One restore point."""
    if point["problem"]:
        return f"{point['id']}: CANNOT BE USED: {point['problem']}"
    verified = f"restored in a test {point['verified']}" if point["verified"] else "UNVERIFIED"
    verified = f"CANNOT BE RESTORED: {point['verification_failed']}" if point["verification_failed"] else verified
    good = "known good" if point["known_good"] else "NOT known good"
    text = f"{point['id']}, {age(point['age_s'])} old, {point['version'] or 'commit'} {point['commit'][:12]}, {good}"
    problem = present.get("problem", "")
    return (
        f"{text}, {point['kind']} backup {size(point['bytes'])}, {verified}{'; MISSING: ' + problem if problem else ''}"
    )


def code(hosts, newer):
    """Live release of each host, the last commits once."""
    lines, recent = [], []
    for host, said in hosts.items():
        own = said.get("code")
        if own:
            build = f", build {own['build_digest'][:12]}" if own["build_digest"] else ""
            wrong = f", WRONG BUILD: {own['build_problem']}" if own["build_problem"] else ""
            tree = "" if own["changed_files"] is None else f", {own['changed_files']} changed files"
            wanted = {True: "target commit present", False: "target commit MISSING", None: "no target commit"}
            text = f"{host}: {own['version']} {own['commit'][:12]} in {own['name']}{build}{wrong}{tree}"
            lines.append(f"{text}, {wanted[own['target']]}")
            recent = recent or own["recent"]
    lines += [f"commit {entry}" for entry in recent]
    return lines + [f"migration since the restore point: {name}" for name in newer]


def runs(state):
    """Who holds the system, and what was done lately."""
    if not state:
        return ["not known: the state host gave no answer"]
    lines = [f"held by {state['holder']}" if state["holder"] else "nobody holds the system"]
    for run in state["runs"]:
        took = "" if run["seconds"] is None else f", took {run['seconds']} s"
        text = f"{run['kind']} {run['id']}, level {run['level']}, {run['state']}{took}"
        lines.append(f"{text}, by {run['operator']}: {run['reason']}")
    return lines


def level_lines(levels):
    """What each level would take."""
    rows = [
        {
            "level": level["name"],
            "can": "yes" if level["can"] else "NO",
            "about": f"{level['seconds']} s" if level["rows"] else "",
            "budget": f"{level['budget_s']} s",
            "last time": "" if level["last_s"] is None else f"{level['last_s']} s",
            "users": level["users"],
            "why not": "; ".join(level["refused"]),
        }
        for level in levels
    ]
    lines = run_table(rows, ["level", "can", "about", "budget", "last time", "users", "why not"]) if rows else []
    for level in levels:
        if level["way_back"]:
            lines.append(
                f"{level['name']} can be taken back by undo-rollback.yml until: {'; '.join(level['way_back'])}"
            )
    return lines


def impact_recommendation(found):
    """What to do, why, and what was passed over, with the command."""
    advised = found["recommendation"]
    action, target = advised["action"], found["target"].get("id", "")
    lines = [f"RECOMMENDED: {heading(advised)}"]
    lines += [f"because {text}" for text in advised["because"]]
    for refused in advised["refused"]:
        lines.append(f"{refused['level']} would cover it and CANNOT be done: {'; '.join(refused['why'])}")
    lines += [f"seen as well: {text}" for text in advised["noted"]]
    lines += [f"no rollback helps against: {text}" for text in advised["unhelped"]]
    lines += [f"believed to follow from the above: {text}" for text in advised["explained"]]
    lines += [f"worth doing: {text}" for text in advised["advice"]]
    for name in [action, *advised["also"]]:
        lines += [f"Next: {command(name, target)}"] if name != "none" else []
    deciders = found["deciders"].get(action)
    return lines + ([f"May be decided by: {', '.join(deciders)}"] if deciders else [])


def heading(advised):
    """The recommendation in a few words."""
    if advised["action"] == "none":
        if advised["needs"]:
            return "a rollback, but no level that would cover the evidence can be done"
        return "no rollback" if advised["unhelped"] or advised["advice"] else "no rollback, nothing is broken"
    return advised["action"] + (f", then {', '.join(advised['also'])}" if advised["also"] else "")


def command(action, target):
    """What to run next; it prints a plan and asks for a confirmation."""
    if action in ("recover-whatsapp", "resume-rollback"):
        return f"ansible-playbook playbooks/{action}.yml"
    return f"ansible-playbook playbooks/rollback-{action}.yml -e rollback_target={target}"


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {"impact_lines": impact_lines, "impact_recommendation": impact_recommendation}
