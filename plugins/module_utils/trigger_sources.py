"""Look at every declared source of one host; one that cannot be read hides nothing else. Knows no Ansible."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import (
    http_checks,
    trigger_access,
    trigger_database,
    trigger_host,
    trigger_laravel,
    trigger_probes,
    trigger_prometheus,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.log_windows import zone_of
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_host import Runner
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import Rule
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series, failed

#: The sources that a host may have, each a dictionary of settings; see the module trigger_sample.
SOURCES = ("access_log", "laravel_log", "probes", "memory", "services", "database", "prometheus")


def sample(
    sources: Mapping[str, Mapping[str, Any]],
    rules: Sequence[Rule],
    host: str,
    run: Runner,
    secrets: Mapping[str, Mapping[str, str]],
) -> list[Series]:
    """What the ``sources`` of ``host`` say now, as far as ``rules`` ask for it.

    ``run`` runs a command; ``secrets`` are headers for probes and for Prometheus, by name of the source.
    """
    looks: dict[str, Callable[[Mapping[str, Any], list[Rule]], list[Series]]] = {
        "access_log": lambda given, asking: _access(given, asking, host),
        "laravel_log": lambda given, asking: _laravel(given, asking, host),
        "probes": lambda given, _asking: _probes(given, secrets.get("probes", {})),
        "memory": lambda given, _asking: trigger_host.memory(host, given.get("groups") or ()),
        "services": lambda given, _asking: _services(given, host, run),
        "database": lambda given, _asking: _database(given, host),
        "prometheus": lambda given, asking: _prometheus(given, asking, secrets.get("prometheus", {})),
    }
    found: list[Series] = []
    for source, given in sources.items():
        asking = [rule for rule in rules if rule.source == source]
        if source not in looks:
            raise RollbackError("A source is not known", found=source, where="sources")
        try:
            found += looks[source](given, asking) if asking else []
        except RollbackError as error:
            found.append(failed(source, str(error), host))
        except (OSError, ValueError, KeyError, TypeError, re.error) as error:
            found.append(failed(source, f"{type(error).__name__}: {error}", host))
    return found


def _window(rules: Sequence[Rule]) -> float:
    return max(rule.window_s for rule in rules)


def _access(given: Mapping[str, Any], rules: Sequence[Rule], host: str) -> list[Series]:
    now, window_s = time.time(), _window(rules)
    groups = list(dict.fromkeys("|".join(rule.only) for rule in rules))
    window = trigger_access.Window(
        now,
        window_s,
        groups,
        given.get("ignored_paths") or (),
        [re.escape(trigger_probes.AGENT), *(given.get("ignored_agents") or ())],
        given.get("held_paths") or (),
    )
    series, problem = trigger_access.read(str(given["path"]), window, now - window_s)
    return _of_host(series, "access_log", problem, host)


def _laravel(given: Mapping[str, Any], rules: Sequence[Rule], host: str) -> list[Series]:
    now, window_s = time.time(), _window(rules)
    window = trigger_laravel.Window(now, window_s, zone_of(given.get("zone") or "UTC"), given.get("patterns") or {})
    series, problem = trigger_laravel.read(given["paths"], window, now - window_s)
    return _of_host(series, "laravel_log", problem, host)


def _of_host(series: Sequence[Series], source: str, problem: str, host: str) -> list[Series]:
    own = [
        Series(
            one.source,
            one.measure,
            one.name,
            host,
            "",
            one.rows,
            [f"{host}: {place}" for place in one.evidence],
            one.note,
        )
        for one in series
    ]
    return own + ([failed(source, problem, host)] if problem else [])


def _probes(given: Mapping[str, Any], headers: Mapping[str, str]) -> list[Series]:
    checks = http_checks.parse(given["checks"], dict(headers))
    asked = [check for check in checks if check.reads_only and not check.rollback_only and not check.held]
    return trigger_probes.sample(given["urls"], asked, str(given["vantage"]), float(given.get("timeout_s") or 10))


def _services(given: Mapping[str, Any], host: str, run: Runner) -> list[Series]:
    found = trigger_host.systemd(run, host, given.get("units") or ())
    own = given.get("pm2")
    return found + (trigger_host.pm2_process(run, host, own["user"], own["home"], own["name"]) if own else [])


def _database(given: Mapping[str, Any], host: str) -> list[Series]:
    request = Request(
        assertions=given.get("assertions") or (),
        orphans=given.get("orphans") or (),
        seconds=float(given.get("seconds") or 20),
        statement_s=float(given.get("statement_s") or 5),
        since=max(time.time() - float(given.get("log_s") or 3600), _acted(given.get("state_dir") or "")),
        unit=str(given.get("log_unit") or "mariadb.service"),
    )

    def connect() -> Database:
        file, socket = given.get("defaults_file") or None, given.get("login_unix_socket") or DEFAULT_SOCKET
        return Database(file, socket, read_only=True, statement_s=int(request.statement_s))

    return trigger_database.sample(connect, host, given.get("schema") or "", request)


def _acted(state_dir: str) -> float:
    """When a run last changed something on this host, by its own clock: what the server said before is dealt with."""
    journals = glob.glob(os.path.join(glob.escape(state_dir), "runs", "*", "journal.jsonl")) if state_dir else []
    return max(map(os.path.getmtime, journals), default=0)


def _prometheus(given: Mapping[str, Any], rules: Sequence[Rule], headers: Mapping[str, str]) -> list[Series]:
    found: list[Series] = []
    for rule in rules:
        found += trigger_prometheus.sample(
            str(given["url"]),
            rule.query,
            time.time(),
            rule.window_s,
            max(1.0, rule.over_s / 6),
            headers,
            float(given.get("timeout_s") or 10),
        )
    return found
