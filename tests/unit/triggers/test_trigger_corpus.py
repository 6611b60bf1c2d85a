"""Logs as they are found on hosts, each with the verdicts that it has to get."""

from __future__ import annotations

import datetime
import math
import os
import random

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_windows
from ansible_collections.campaign.rollback.plugins.module_utils.log_windows import zone_of
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import looked
from trigger_world import NOW, UTC, World, access, answers, laravel, traffic, write

#: Beside the shipped rules, as an inventory would add it.
LOG_ERRORS = {"name": "log_errors", "source": "laravel_log", "measure": "errors", "above": 5, "for_s": 120}
FAULT = 0.3


def healthy(place):
    write(place / "access.log", traffic(NOW - 1500, NOW))


def faulty(place, since=700, share=FAULT):
    write(place / "access.log", traffic(NOW - 1500, NOW - since) + traffic(NOW - since, NOW, share=share))


def recovered(place):
    lines = traffic(NOW - 1500, NOW - 1200) + traffic(NOW - 1200, NOW - 300, share=FAULT) + traffic(NOW - 300, NOW)
    write(place / "access.log", lines)


def slow(place, number=200):
    lines = [
        (NOW - 290 + 290 * one / number, access(NOW - 290 + 290 * one / number, seconds="12.5"))
        for one in range(number)
    ]
    write(place / "access.log", lines)


def without_times(place):
    write(place / "access.log", traffic(NOW - 1500, NOW, form="combined"))


def json_fault(place):
    write(place / "access.log", traffic(NOW - 1500, NOW, share=FAULT, form="json"))


def rotated(place, ending=".1"):
    """In mid-window, in mid-fault."""
    write(place / f"access.log{ending}", traffic(NOW - 1500, NOW - 700) + traffic(NOW - 700, NOW - 300, share=FAULT))
    write(place / "access.log", traffic(NOW - 300, NOW, share=FAULT))


def just_rotated(place):
    rotated(place, ".1.gz")
    write(place / "access.log.1.gz", traffic(NOW - 1500, NOW, share=FAULT))
    write(place / "access.log", [], NOW)


def truncated(place):
    faulty(place)
    with open(place / "access.log", "a") as stream:
        stream.write(access(NOW)[:90])


def torn_in_the_middle(place):
    """As a full disk leaves it."""
    lines = traffic(NOW - 1500, NOW)
    lines[900:900] = [(NOW - 600, access(NOW - 600)[:70]), (NOW - 600, "\0" * 4096 + "\n")]
    write(place / "access.log", lines)


def night(place):
    write(place / "access.log", [(NOW - age, access(NOW - age, status=500)) for age in (900, 500, 200, 20)])


def gate(place):
    held = [(NOW - age, access(NOW - age, status=503, upstream="-")) for age in range(400, 0, -1)]
    write(place / "access.log", traffic(NOW - 1500, NOW - 400) + held)


def unnamed_503(place):
    """Of a format that does not say whether nginx gave them itself."""
    lines = [(NOW - age, access(NOW - age, status=503, form="combined")) for age in range(700, 0, -1)]
    write(place / "access.log", lines)


def health_checks(place):
    checks = [(NOW - age, access(NOW - age, "/api/health", 500)) for age in range(1400, 0, -1)]
    write(place / "access.log", sorted(traffic(NOW - 1500, NOW) + checks))


def given_up(place):
    lines = [(NOW - age, access(NOW - age, status=499)) for age in range(1400, 0, -1)]
    write(place / "access.log", sorted(traffic(NOW - 1500, NOW) + lines))


def set_back(place):
    """The clock was an hour ahead until half a minute ago."""
    write(place / "access.log", traffic(NOW + 3000, NOW + 3600) + traffic(NOW - 30, NOW))


def torn_archive(place):
    rotated(place, ".1.gz")
    data = (place / "access.log.1.gz").read_bytes()[:-30]
    (place / "access.log.1.gz").write_bytes(data)
    os.utime(place / "access.log.1.gz", (NOW - 300, NOW - 300))


def log_errors(place, name="laravel.log", every=5, since=400):
    write(place / name, [(NOW - age, laravel(NOW - age)) for age in range(since, 0, -every)])


def nothing(place):
    """No log at all."""


CORPUS = {
    "healthy": (healthy, {"error_rate": "ok", "response_time": "ok"}),
    "fault of 11 minutes": (faulty, {"error_rate": "fired", "response_time": "ok"}),
    "fault of 5 minutes": (lambda place: faulty(place, 300), {"error_rate": "pending"}),
    "few errors": (lambda place: faulty(place, 1400, 0.02), {"error_rate": "ok"}),
    "recovered": (recovered, {"error_rate": "ok"}),
    "slow": (slow, {"response_time": "fired", "error_rate": "ok"}),
    "slow, too few": (lambda place: slow(place, 7), {"response_time": "inconclusive"}),
    "no times in the log": (without_times, {"error_rate": "ok", "response_time": "no_data"}),
    "fault, JSON": (json_fault, {"error_rate": "fired", "response_time": "ok"}),
    "rotated in mid-window": (rotated, {"error_rate": "fired"}),
    "rotated and compressed": (lambda place: rotated(place, ".1.gz"), {"error_rate": "fired"}),
    "rotated by date": (lambda place: rotated(place, "-20261122.gz"), {"error_rate": "fired"}),
    "just rotated": (just_rotated, {"error_rate": "fired"}),
    "truncated line": (truncated, {"error_rate": "fired"}),
    "torn in the middle": (torn_in_the_middle, {"error_rate": "ok"}),
    "missing file": (nothing, {"error_rate": "no_data", "response_time": "no_data", "log_errors": "no_data"}),
    "empty file": (lambda place: write(place / "access.log", []), {"error_rate": "no_data"}),
    "night": (night, {"error_rate": "inconclusive"}),
    "closed gate": (gate, {"error_rate": "no_data"}),
    "503 of nobody knows whom": (unnamed_503, {"error_rate": "inconclusive"}),
    "health checks fail": (health_checks, {"error_rate": "ok"}),
    "clients go away": (given_up, {"error_rate": "ok"}),
    "clock was set back": (set_back, {"error_rate": "inconclusive"}),
    "torn archive": (torn_archive, {"error_rate": "no_data"}),
    "errors in the log": (log_errors, {"log_errors": "fired"}),
    "errors in the daily log": (lambda place: log_errors(place, "laravel-2026-11-22.log"), {"log_errors": "fired"}),
    "errors for a minute": (lambda place: log_errors(place, since=70), {"log_errors": "pending"}),
    "few errors in the log": (lambda place: log_errors(place, every=30), {"log_errors": "ok"}),
}


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(tmp_path, monkeypatch, name):
    write_logs, wanted = CORPUS[name]
    write_logs(tmp_path)
    found = World(tmp_path, monkeypatch, [LOG_ERRORS]).look()
    assert {rule: found[rule]["verdict"] for rule in wanted} == wanted


@pytest.mark.parametrize("skew", [-7200, -240, 240, 7200])
def test_clocks_of_host_and_judge_may_differ(tmp_path, monkeypatch, skew):
    faulty(tmp_path)
    # The judge's clock is another one; what the host says of time is by its own.
    found = World(tmp_path, monkeypatch).look(NOW - skew, skew=skew)
    assert found["error_rate"]["verdict"] == "fired"
    assert abs(found["error_rate"]["since"] - (NOW - skew - 700)) <= 60


@pytest.mark.parametrize("minutes", range(-30, 90, 15))
def test_errors_in_the_night_when_the_clock_goes_back(tmp_path, monkeypatch, minutes):
    zone = zone_of("Europe/Berlin")
    now = datetime.datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp() + 60 * minutes
    old = [(now - age, laravel(now - age, zone=zone)) for age in range(7500, 3000, -5)]
    sources = {"laravel_log": {"paths": [str(tmp_path / "laravel.log")], "zone": "Europe/Berlin"}}
    world = World(tmp_path, monkeypatch, [LOG_ERRORS], sources)
    write(tmp_path / "laravel.log", old)
    assert world.look(now)["log_errors"]["verdict"] == "ok"
    write(tmp_path / "laravel.log", old + [(now - age, laravel(now - age, zone=zone)) for age in range(300, 0, -5)])
    assert world.look(now)["log_errors"]["verdict"] == "fired"


def test_evidence_of_a_verdict(tmp_path, monkeypatch):
    faulty(tmp_path)
    found = World(tmp_path, monkeypatch).look()["error_rate"]
    assert abs(found["since"] - (NOW - 700)) <= 60
    assert found["evidence"][0].startswith("web1: 500 /api/campaigns, ")
    newest = found["values"][0]
    assert (newest["from"], newest["to"], newest["samples"]) == (NOW - 60, NOW, 59)
    assert newest["value"] > 0.2


def day_of(begin, drawn):
    """Lines of 24 hours: peaks by day, a hundredth of errors, two restarts that take 20 s."""
    at, lines = begin, []
    restarts = (begin + 3 * 3600, begin + 14 * 3600)
    while at < begin + 86400:
        per_s = 0.15 + 1.2 * max(0.0, math.sin(math.pi * ((at - begin) / 43200 % 2))) ** 2
        down = any(restart <= at < restart + 20 for restart in restarts)
        status = 502 if down else 500 if drawn.random() < 0.01 else 200
        lines.append((at, access(at, status=status, seconds=f"{drawn.expovariate(4):.3f}")))
        at += drawn.expovariate(per_s)
    return restarts, lines


def test_a_healthy_day_fires_nothing_and_the_fault_after_it_does(tmp_path, monkeypatch):
    """24 hours with peaks, restarts and rotation, looked at each minute; then a fault, found in time."""
    monkeypatch.setattr(trigger_windows, "BLOCK", 16384)
    drawn = random.Random(11)
    begin, step = NOW - 86400, 60
    restarts, lines = day_of(begin, drawn)
    errors = [(at, laravel(at)) for at in (begin + 700 * one for one in range(123))]
    errors += [(restart + one, laravel(restart + one)) for restart in restarts for one in range(20)]
    fault = NOW + 7
    lines += traffic(fault, NOW + 900, share=FAULT)
    errors.sort()
    world = World(tmp_path, monkeypatch, [LOG_ERRORS])
    rotation, now, number = begin + 6 * 3600 + 600, begin + 720, 0
    written = {"access.log": 0, "laravel.log": 0}
    fired, seen = [], set()
    while now <= NOW + 720:
        if number == 0 and now > rotation:
            number = 1
            os.rename(tmp_path / "access.log", tmp_path / "access.log.1")
        for name, own in (("access.log", lines), ("laravel.log", errors)):
            end = written[name]
            while end < len(own) and own[end][0] <= now:
                end += 1
            with open(tmp_path / name, "a") as stream:
                stream.write("".join(line for _at, line in own[written[name] : end]))
            written[name] = end
        # Users notice a restart only at the moment of it, and one vantage loses its way for half an hour.
        down = any(restart <= now < restart + 20 for restart in restarts)
        bad = [("home", "controller"), ("home", "hub"), ("health", "controller"), ("health", "hub")] if down else []
        silent = ["hub"] if begin + 40000 < now < begin + 41800 else []
        backup = begin + 7200 <= now < begin + 7320
        used = 0.95 if backup else 0.6 + 0.2 * math.sin(now / 7000)
        found = world.look(now, [*answers(bad, silent=silent), looked("memory", "used_share", used, host="web1")])
        seen |= {(name, rule["verdict"]) for name, rule in found.items()}
        if world.found["fired"]:
            fired.append((now, world.found["fired"]))
        now += step
    assert {("error_rate", "ok"), ("memory", "pending"), ("availability", "ok"), ("log_errors", "ok")} <= seen
    assert fired
    first, names = fired[0]
    assert names == ["error_rate"]
    assert fault + 600 - 10 <= first <= fault + 600 + step
