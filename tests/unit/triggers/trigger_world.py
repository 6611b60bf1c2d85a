"""A system that writes logs at a time of one's own, and a reader of them that could not be simpler."""

from __future__ import annotations

import collections
import datetime
import gzip
import json
import os
import pathlib
import random
import re
import types

from ansible_collections.campaign.rollback.plugins.module_utils import trigger_check, trigger_sources
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import parse
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import as_data, counted
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import parse as parse_series

UTC = datetime.timezone.utc
#: 2026-11-22 08:00:00 UTC.
NOW = datetime.datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC).timestamp()
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def stamp(at, zone=UTC):
    return datetime.datetime.fromtimestamp(at, zone).strftime("%d/%b/%Y:%H:%M:%S %z")


def access(
    at, path="/api/campaigns?page=2", status=200, seconds="0.100", upstream="0.090", form="timed", agent=AGENT, zone=UTC
):
    """One line of an access log in one of the formats."""
    if form == "json":
        fields = {"time_iso8601": datetime.datetime.fromtimestamp(int(at), zone).isoformat(), "request_uri": path}
        times = {"request_time": seconds, "upstream_response_time": upstream, "http_user_agent": agent}
        return json.dumps({**fields, "status": status, **times}) + "\n"
    line = f'192.0.2.7 - - [{stamp(at, zone)}] "GET {path} HTTP/1.1" {status} 512 "https://example.com/" "{agent}"'
    ends = {"combined": "", "timed": f' rt={seconds} urt="{upstream}"', "plain": f" {seconds} {upstream}"}
    return line + ends[form] + "\n"


def laravel(at, level="ERROR", text="Something broke", zone=UTC, trace=3):
    """One record of Laravel's log with its stack trace."""
    local = datetime.datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")
    head = (
        f'[{local}] production.{level}: {text} {{"exception":"[object] (App\\\\Broken(code: 0): {text} at /srv/a.php:8)'
    )
    return "\n".join([head, "[stacktrace]", *(f"#{number} /srv/a.php" for number in range(trace)), '"} ', ""])


def traffic(begin, end, per_s=1.0, share=0.01, seed=7, form="timed", **more):
    """Lines of users between two times; ``share`` of them are answered with 500."""
    drawn = random.Random(seed)
    lines, at = [], begin
    while at < end:
        status = 500 if drawn.random() < share else drawn.choice((200, 200, 200, 302, 404))
        lines.append((at, access(at, status=status, form=form, **more)))
        at += 1 / per_s
    return lines


def write(path, lines, last=None):
    """A file whose time is that of its last line, packed if its name says so."""
    data = "".join(line for _at, line in lines).encode()
    pathlib.Path(path).write_bytes(gzip.compress(data) if str(path).endswith(".gz") else data)
    at = last if last is not None else lines[-1][0] if lines else NOW
    os.utime(path, (at, at))


NAIVE = re.compile(r'\[([^\]]+)\] "\S* ?([^ "?]*)[^"]*" (\d{3}) \S+ "[^"]*" "([^"]*)"(?: (?:rt=)?([\d.]+) .*)?$')


def naive(paths, now, window_s, ignored=None):
    """Requests, errors, timed ones and their seconds in the window: every file from its beginning to its end."""
    found = collections.Counter()
    for path in paths:
        data = pathlib.Path(path).read_bytes()
        text = (gzip.decompress(data) if str(path).endswith(".gz") else data).decode("utf-8", "replace")
        for line in text.split("\n")[:-1]:
            match = NAIVE.search(line)
            try:
                at = datetime.datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z").timestamp()
            except (TypeError, ValueError):
                continue
            if not now - window_s < at <= now + 60 or match[3] == "499" or (ignored and re.search(ignored, match[2])):
                continue
            found["requests"] += 1
            found["errors"] += match[3] >= "500"
            if match[5]:
                found["timed"] += 1
                found["ms"] += round(float(match[5]) * 1000)
    return {name: number for name, number in found.items() if number}


def summed(series):
    """What series of an access log hold in all, as ``naive`` returns it."""
    found = collections.Counter()
    for one in series:
        for row in one.rows:
            if one.measure == "error_share":
                found["requests"] += int(row[2])
                found["errors"] += int(row[3])
            else:
                found["timed"] += int(row[2])
                found["ms"] += round(row[5] * 1000)
    return {name: number for name, number in found.items() if number}


def answers(bad=(), vantages=("controller", "hub"), names=("home", "health"), silent=(), word="bad"):
    """What probes say from each vantage; ``bad`` are pairs of probe and vantage, ``silent`` vantages cannot send."""
    found = []
    for name in names:
        for vantage in vantages:
            wrong = (name, vantage) in bad
            numbers = (0, 0, 1) if vantage in silent else (1, int(wrong), 0)
            place = [f"{name} from {vantage}: status 500"] if wrong else []
            found.append(counted("probes", "answer", *numbers, name=name, host="web1", vantage=vantage, evidence=place))
    return found


class World:
    """One web host whose logs are in ``place``, judged again and again with what was remembered."""

    def __init__(self, place, monkeypatch, rules=(), sources=None):
        self.place, self._patch = place, monkeypatch
        self.rules = parse(list(rules))
        self.memory = {}
        logs = {
            "access_log": {"path": str(place / "access.log"), "ignored_paths": ["^/api/health"]},
            "laravel_log": {"paths": [str(place / "laravel.log")], "zone": "UTC"},
        }
        self.sources = logs if sources is None else sources

    def look(self, now=NOW, more=(), hold=None, skew=0, groups=None, functions=None):
        """Verdicts by name; the clock of the host is ahead of the judge's by ``skew``."""
        self._patch.setattr(trigger_sources, "time", types.SimpleNamespace(time=lambda: now + skew))
        series = trigger_sources.sample(self.sources, self.rules, "web1", None, {})
        declared = trigger_check.Declared(groups or {}, functions or {}, 2)
        found = trigger_check.check(
            self.rules,
            parse_series(as_data([*series, *more])),
            self.memory,
            now,
            hold or trigger_check.Hold(),
            declared,
        )
        # What is remembered goes through a file.
        self.memory = json.loads(json.dumps(self.memory))
        self.found = found
        return {rule["name"]: rule for rule in found["rules"]}


COMPONENTS = ("application", "frontend", "database", "env_restore", "services", "whatsapp_session", "gate")


def inventory(place):
    """Of one host that is this one, with its log and what is remembered in ``place``."""
    host = {"triggers_access_log": str(place / "access.log"), "database_schema": ""}
    said = {
        "run_state_dir": str(place / "state"),
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_become": False,
        "rollback_environment": "try",
        "rollback_state_host": "web1",
        "rollback_component_groups": {name: ["web"] for name in COMPONENTS},
        # What this machine is like is not the question.
        "triggers_rules": [{"name": name, "enabled": False} for name in ("memory", "database_unreachable")],
    }
    return {"all": {"vars": said, "children": {"web": {"hosts": {"web1": host}}}}}
