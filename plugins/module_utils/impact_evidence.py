"""What speaks for an incident, from what was seen on all hosts and from outside. What follows from it is a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

#: Every kind of evidence; the rules name them.
KINDS = (
    "run_unfinished",
    "host_silent",
    "store_silent",
    "server_down",
    "worker_down",
    "not_read",
    "check_failed",
    "front_end_failed",
    "function_failed",
    "build_wrong",
    "requests_failed",
    "requests_slow",
    "memory_short",
    "rows_damaged",
    "session_failed",
)
#: Parts of the application that a check can stand for, beside functions: see ``of_checks``.
FRONT_END, SESSIONS = "frontend", "sessions"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One finding: its ``kind``, the host, or the function for ``function_failed``, and the numbers in words."""

    kind: str
    where: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """From where on a number is evidence; the runbook's triggers unless the inventory says otherwise."""

    requests: int = 20
    error_share: float = 0.05
    average_s: float = 10.0
    p95_s: float = 2.0
    p95_factor: float = 5.0
    memory_share: float = 0.9
    memory_exits: int = 3


def of_hosts(
    hosts: Mapping[str, Mapping[str, Any]], stores: Iterable[str], limits: Limits, baseline_s: float
) -> list[Evidence]:
    """Evidence from what each host said (empty if it did not answer); ``baseline_s`` is the usual p95, 0 if unknown.

    ``stores`` are the hosts whose servers keep the data of all others, so that what they lack fails everywhere.
    """
    known = set(stores)
    found = []
    for host, said in hosts.items():
        if not said:
            found.append(Evidence("store_silent" if host in known else "host_silent", host, "the host does not answer"))
            continue
        silent = {"database": "store_silent", "queue": "store_silent", "sessions": "session_failed"}
        for part, problem in sorted((said.get("problems") or {}).items()):
            text = problem if part in silent else f"{part}: {problem}"
            found.append(Evidence(silent.get(part, "not_read"), host, text))
        found += of_services(host, said, limits, host in known)
        found += of_traffic(host, said.get("traffic") or {}, limits, baseline_s)
        found += of_state(host, said)
    return found


def of_services(host: str, said: Mapping[str, Any], limits: Limits, store: bool) -> list[Evidence]:
    """Units that do not run, and memory that runs out."""
    services, memory = said.get("services") or {}, said.get("memory") or {}
    found = []
    for kind, part in (("store_silent" if store else "server_down", "serving"), ("worker_down", "working")):
        if services.get(part):
            found.append(Evidence(kind, host, "not active: " + ", ".join(services[part])))
    if memory.get("used_share", 0) > limits.memory_share:
        text = f"{memory['used_share']:.0%} of the memory of the {memory['limit']} is used"
        found.append(Evidence("memory_short", host, f"{text}, limit {limits.memory_share:.0%}"))
    exits = services.get("memory_exits") or 0
    if exits >= limits.memory_exits:
        found.append(Evidence("memory_short", host, f"services ended {exits} times because of their memory"))
    exhausted = ((said.get("log") or {}).get("matching") or {}).get("memory", 0)
    if exhausted >= limits.memory_exits:
        found.append(Evidence("memory_short", host, f"{exhausted} errors in the log because of exhausted memory"))
    return found


def of_traffic(host: str, traffic: Mapping[str, Any], limits: Limits, baseline_s: float) -> list[Evidence]:
    """Requests that fail or take long; too few say nothing, and a log without times says nothing about time."""
    count = traffic.get("requests", 0)
    if count < limits.requests:
        return []
    found = []
    if traffic["error_share"] > limits.error_share:
        text = f"{traffic['errors']} of {count} requests failed, {traffic['error_share']:.1%}"
        found.append(Evidence("requests_failed", host, f"{text}, limit {limits.error_share:.0%}"))
    if traffic["average_s"] is None:
        return found
    longest = max(limits.p95_s, limits.p95_factor * baseline_s)
    if traffic["average_s"] > limits.average_s:
        text = f"requests take {traffic['average_s']:.2f} s on average, limit {limits.average_s:g} s"
        found.append(Evidence("requests_slow", host, text))
    elif traffic["p95_s"] > longest:
        text = f"5 of 100 requests take {traffic['p95_s']:.2f} s or longer, limit {longest:.2f} s"
        found.append(Evidence("requests_slow", host, text))
    return found


def of_state(host: str, said: Mapping[str, Any]) -> list[Evidence]:
    """Damaged rows, a wrong build, sessions that are not connected."""
    damage = ((said.get("database") or {}).get("damage") or {}).get("failed", [])
    found = [
        Evidence("rows_damaged", host, f"{one['name']}: {one['found']}, expected {one['expected']}") for one in damage
    ]
    problem = (said.get("code") or {}).get("build_problem")
    if problem:
        found.append(Evidence("build_wrong", host, problem))
    for account, state in sorted((said.get("sessions") or {}).items()):
        if state != "connected":
            found.append(Evidence("session_failed", host, f"account {account} is {state}"))
    return found


def of_builds(hosts: Mapping[str, Mapping[str, Any]]) -> list[Evidence]:
    """Hosts that serve another build of the same commit than the others do."""
    builds: dict[str, dict[str, list[str]]] = {}
    for host, said in hosts.items():
        live = said.get("code") or {}
        if live.get("build_digest"):
            builds.setdefault(live["commit"], {}).setdefault(live["build_digest"], []).append(host)
    return [
        Evidence(
            "build_wrong",
            ", ".join(sorted(host for own in digests.values() for host in own)),
            "the hosts serve different builds of one commit",
        )
        for digests in builds.values()
        if len(digests) > 1
    ]


def of_checks(checks: Iterable[Mapping[str, Any]], parts: Mapping[str, str], sessions_failed: bool) -> list[Evidence]:
    """Evidence from requests to each web host; ``parts`` says which part of the application a check stands for.

    A check of the front end speaks against the build only if the application answers well beside it: an error of the
    application fails pages as well. One of the sessions says nothing new where sessions are known to have failed. One
    of a function speaks against that function, unless more than half of the declared functions fail. Without a part it
    speaks against the application.
    """
    every = list(checks)
    functions = {part for part in parts.values() if part not in (FRONT_END, SESSIONS)}
    failing = {parts[check["name"]] for check in every if not check["passed"] and parts.get(check["name"]) in functions}
    widely = 2 * len(failing) > len(functions) and len(functions) > 1
    sound = {check["target"] for check in every if check["passed"] and check["name"] not in parts}
    found = []
    for check in every:
        part = parts.get(check["name"], "")
        if check["passed"] or (part == SESSIONS and sessions_failed):
            continue
        text = f"{check['name']}: {check['detail']}"
        if part == FRONT_END and check["target"] in sound and check["status"] < 500:
            found.append(Evidence("front_end_failed", check["target"], text))
        elif part in functions and not widely:
            found.append(Evidence("function_failed", part, f"{text} on {check['target']}"))
        else:
            found.append(Evidence("check_failed", check["target"], text))
    return found
