"""Filters about checks: what is wrong with declared ones, and what those of a whole run have found."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils import (
    baselines,
    browser_checks,
    host_checks,
    http_checks,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED

DOCUMENTATION = r"""
name: check_problem
short_description: What is wrong with declared checks
version_added: 0.1.0
description:
  - Reads checks as M(campaign.rollback.validation_http) does, on the controller and without a request.
options:
  _input:
    description: The checks.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a misspelled check
  ansible.builtin.assert:
    that: validation_http_checks | campaign.rollback.check_problem | length == 0
"""

RETURN = r"""
_value:
  description: Why a check cannot be understood, empty if all can.
  type: str
"""


def check_problem(checks):
    """Why one of the checks cannot be understood; empty if all can."""
    try:
        http_checks.parse(checks, {})
    except RollbackError as error:
        return str(error)
    return ""


def host_check_problem(hosts):
    """Why limits or a tolerance that the facts of these hosts declare cannot be understood; empty if all can."""
    try:
        for facts in hosts:
            host_checks.Limits.parse(facts.get("validation_limits") or {})
            baselines.Tolerance.parse(facts.get("validation_tolerance") or {})
    except RollbackError as error:
        return str(error)
    return ""


def browser_check_problem(checks, login, secrets):
    """Why checks in a browser, or the steps of the log-in, cannot be understood; empty if all can."""
    try:
        browser_checks.parse(checks, secrets, "")
        browser_checks.parse_steps(login, secrets, "", "validation_browser_login")
    except RollbackError as error:
        return str(error)
    return ""


def run_checks_failed(checks, most=3):
    """The checks that did not pass, as one sentence."""
    lines = ["{name} on {target}: {detail}".format(**check) for check in checks if not check["passed"]]
    return "; ".join(lines[:most]) + (f"; and {len(lines) - most} more" if len(lines) > most else "")


def run_service_checks(found, writers, pm2, evidence):
    """What is known of each service of a host: ``{name, passed, detail, look}``.

    ``found`` is what service_info returned, with what pm2 returned as ``pm2``; ``evidence`` has the ``proofs`` and what
    was ``started``, as service_group returned them.
    """
    rows = []
    proofs = {proof["unit"]: proof for proof in evidence["proofs"]}
    for unit, service in found["services"].items():
        faults = [] if service["active"] else [f"{unit} is not active"]
        if unit in writers and service["pid"] and service["directory"] != found["live"]:
            faults.append(f"{unit} runs other code")
        told = "; ".join(faults) or "active"
        if unit in proofs and not faults:
            told = "taken over after {seconds} s".format(**proofs[unit])
        if evidence["started"].get(unit) and not faults:
            told = f"process {evidence['started'][unit]}, started by this run, in {service['directory']}"
        look = f"systemctl status {unit}; journalctl -u {unit} -n 50"
        rows.append({"name": unit, "passed": not faults, "detail": told, "look": look})
    return rows + ([_pm2_check(found["pm2"], pm2["name"], found["live"])] if pm2 else [])


def _pm2_check(found, name, live):
    """What is known of the process under pm2."""
    wrong = found.get("wrong_environment", [])
    faults = [
        (found["status"] != "online", f"pm2 {name} is {found['status']}"),
        (not f"{found['directory']}/".startswith(f"{live}/"), f"pm2 {name} runs in {found['directory']}"),
        (
            found["directory"] != found.get("declared_directory", found["directory"]),
            f"pm2 {name} does not run where its ecosystem file says, {found.get('declared_directory')}",
        ),
        (bool(wrong), f"pm2 {name} has another environment than its ecosystem file says: {', '.join(wrong)}"),
    ]
    told = "; ".join(text for is_so, text in faults if is_so)
    return {
        "name": f"pm2 {name}",
        "passed": not told,
        "detail": told or f"process {found['pid']}, {found['directory']}",
        "look": f"pm2 describe {name}; pm2 logs {name} --lines 50 --nostream (as its user)",
    }


def _row(name, where, check, detail=None):
    """One line of the table of all checks; a verdict in words other than passed and failed is shown as it is."""
    result = check.get("result") or check.get("verdict") or FAILED
    if check["passed"]:
        result = "passed"
    return {
        "check": name,
        "where": where,
        "passed": check["passed"],
        "result": "FAILED" if result == FAILED else result,
        "detail": check["detail"] if detail is None else detail,
        "evidence": check.get("evidence", ""),
        "look": check.get("look", ""),
    }


def run_checks(hosts, hostvars):
    """Every check of a run as ``{check, where, result, detail, evidence, look}``, whatever kind it is."""
    controller = hostvars["localhost"]
    http = controller.get("validation_outside") or controller.get("validation_inside") or {}
    rows = [
        _row(check["name"], check["target"], check, check["detail"] or f"{check['seconds']:.2f} s")
        for check in http.get("checks", [])
    ]
    browsed = (controller.get("validation_browsed") or {}).get("checks", [])
    rows += [_row(check["name"], check["target"], check) for check in browsed]
    soaked = controller.get("validation_soaked") or {}
    if soaked.get("rounds"):
        told = "; ".join(soaked["regress"]) or f"{soaked['rounds']} rounds in {soaked['seconds']} s"
        rows.append(_row("stays sound", "controller", {"passed": not soaked["regress"], "detail": told}))
    for host in hosts:
        own = _host_rows(host, hostvars[host])
        # What is run by hand has to be run there.
        rows += [{**row, "look": row["look"] and f"on {host}: {row['look']}"} for row in own]
    return rows


def _shown(check, facts):
    """A check of the database with what it rests on, and the query that says more."""
    asked = {one["name"]: one["query"] for one in facts.get("database_assertions") or []}
    query = asked.get(check["name"], "SHOW FULL PROCESSLIST")
    evidence = "found {found}, expected {expected}".format(**check) if "found" in check else ""
    return {**check, "evidence": evidence, "look": f'mysql {facts.get("database_schema", "")} -e "{query}"'}


def _host_rows(host, facts):
    """What is known of one host, but for requests from outside."""
    failed = facts.get("run_verify_failed") or {}
    rows = [
        _row(f"component {name}", host, {"passed": False, "detail": detail}) for name, detail in sorted(failed.items())
    ]
    database = facts.get("database_checked") or {}
    rows += [_row(check["name"], host, _shown(check, facts)) for check in database.get("checks", [])]
    if "threads_connected" in database:
        listed = ", ".join("{count} {command} {state}".format(**entry).strip() for entry in database["processes"])
        detail = f"{database['threads_connected']} connections: {listed}"
        rows.append(_row("process list", host, {"passed": True, "detail": detail}))
    tested = (facts.get("validation_tested") or {}).get("checks", [])
    for check in (facts.get("services_checked") or []) + tested:
        rows.append(_row(check["name"], host, check, check["detail"] or f"{check.get('seconds', 0):.2f} s"))
    rows += [_row(check["check"], host, check) for check in run_session_checks(facts)]
    return rows + [
        _row(check["name"], host, check) for check in (facts.get("validation_host_found") or {}).get("checks", [])
    ]


def run_session_checks(facts):
    """How each session of a host stood in the end, as ``{check, passed, result, detail, look}``."""
    rows = []
    look = "ansible-playbook playbooks/recover-whatsapp.yml (on the controller; without confirmation it only looks)"
    for account, found in (facts.get("whatsapp_session_checked") or {}).items():
        passed = found["stated"] == "connected"
        row = {"check": f"session {account}", "passed": passed, "detail": found["why"] or found["word"], "look": look}
        rows.append({**row, "result": "link phone"} if found["action"] == "link" else row)
    for account, found in (facts.get("whatsapp_session_cloud_checked") or {}).items():
        detail = "; ".join(found["reasons"] + found["notes"])
        passed = found["state"] == "healthy"
        rows.append({"check": f"cloud account {account}", "passed": passed, "detail": detail, "look": look})
    return rows


def run_check_lines(rows):
    """For each check that failed: what was found, on what that rests, and how to look further. Lines of text."""
    lines = []
    for row in rows:
        if row["result"] != "FAILED":
            continue
        told = {"evidence": row["evidence"], "look further": row["look"]}
        lines.append("FAILED {check}, {where}: {detail}".format(**row))
        lines += [f"    {name}: {text}" for name, text in told.items() if text]
    return lines


def run_check_totals(rows):
    """How many checks ended how, as one sentence: ``41 passed, 1 FAILED, 2 not checked``."""
    results = [row["result"] for row in rows]
    order = ["passed", "FAILED", *sorted(set(results) - {"passed", "FAILED"})]
    return ", ".join(f"{results.count(name)} {name}" for name in order if name in results or name == "passed")


def soak_counted(before, rows, missing, now, limit):
    """How a soak stands after one more round: ``{began, at, seconds, rounds, failing, regress, over, told}``.

    ``before`` is how it stood, empty at the beginning; ``rows`` are the checks of this round, ``missing`` the hosts
    that do not answer any more. A check that failed in ``limit`` rounds one after the other is a regress and ends it.
    """
    failing = {}
    for row in rows:
        name = "{check} on {where}".format(**row)
        if row["result"] == "FAILED" and name not in failing:
            failing[name] = {"rounds": before.get("failing", {}).get(name, {"rounds": 0})["rounds"] + 1}
            failing[name]["detail"] = row["detail"]
    regress = [f"{name}: {one['detail']}" for name, one in failing.items() if one["rounds"] >= limit]
    regress += [f"{host} does not answer" for host in missing]
    began, rounds = before.get("began", now), before.get("rounds", 0) + 1
    worst = "; ".join(f"{name}, {one['rounds']} of {limit} rounds" for name, one in failing.items())
    return {
        "began": began,
        "at": now,
        "seconds": round(now - began),
        "rounds": rounds,
        "failing": failing,
        "regress": regress,
        "over": bool(regress),
        "told": f"Round {rounds}: {run_check_totals(rows)}" + (f". Failing: {worst}" if worst else ""),
    }


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {
            "browser_check_problem": browser_check_problem,
            "check_problem": check_problem,
            "host_check_problem": host_check_problem,
            "run_check_lines": run_check_lines,
            "run_check_totals": run_check_totals,
            "run_checks": run_checks,
            "run_checks_failed": run_checks_failed,
            "run_service_checks": run_service_checks,
            "soak_counted": soak_counted,
        }
