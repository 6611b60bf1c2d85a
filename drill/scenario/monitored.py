"""The monitoring of the drill system: checks as cron makes them, real Prometheus and Alertmanager, the status page."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import httpx
from playwright.sync_api import sync_playwright
from system import System

HOSTS = {"web1", "web2", "data1", "wa1", "hub"}
#: Seconds from the end of a check to the next.
PAUSE_S = 5


@contextlib.contextmanager
def checked(system: System, artifacts: pathlib.Path) -> Iterator[None]:
    """While it lasts the triggers are checked again and again, as cron would."""
    stop = threading.Event()

    def check() -> None:
        while not stop.wait(PAUSE_S):
            system.play("playbooks/check-triggers.yml", artifacts=artifacts / "checks")

    checks = threading.Thread(target=check)
    checks.start()
    try:
        yield
    finally:
        stop.set()
        checks.join()


def asked(system: System, path: str, port: int = 9090, **parameters: str) -> Any:
    """What Prometheus answers, or who listens at another port of the hub."""
    url = f"http://{system.network}.41:{port}/api/{path}"
    answer = httpx.get(url, params=parameters, timeout=15, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def metric(system: System, query: str) -> dict[str, float]:
    """Newest values of a query, by instance."""
    found = asked(system, "v1/query", query=query)["data"]["result"]
    return {one["metric"].get("instance", ""): float(one["value"][1]) for one in found}


def scraped(system: System) -> dict[str, bool]:
    """Whether Prometheus reaches every host, knows of the checks, and took the exported rules."""
    groups = asked(system, "v1/rules")["data"]["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    return {
        "Prometheus scrapes every host": metric(system, 'up{job="node"} == 1').keys() == HOSTS,
        "Prometheus knows the last check": bool(
            metric(system, "time() - rollback_trigger_checked_timestamp_seconds < 60")
        ),
        f"Prometheus took {len(rules)} rules": "RollbackErrorRate" in rules and "err" not in rules.values(),
    }


def alerted(system: System, rule: str) -> bool:
    """Whether Alertmanager has an alert of this trigger."""
    alerts = asked(system, "v2/alerts", 9093, active="true")
    return any(alert["labels"].get("trigger") == rule for alert in alerts)


def seen(system: System, rule: str, artifacts: pathlib.Path) -> dict[str, bool]:
    """The page is for those with the password, and shows in a real browser what fired, against its threshold."""
    url = f"http://{system.network}.41/monitoring/"
    refused = {httpx.get(url + path, timeout=15, trust_env=False).status_code for path in ("", "data.json")}
    password = {"username": "operator", "password": system.secret("monitoring_password")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(http_credentials=password, viewport={"width": 1200, "height": 900}).new_page()
        page.goto(url)
        card = page.locator(f"#rule-{rule}[data-verdict=fired]")
        card.wait_for()
        plotted = card.locator("svg").count() == 1 and card.locator("line.limit").count() >= 1
        page.screenshot(path=artifacts / "page.png", full_page=True)
        browser.close()
    return {
        "the status page is closed without a password": refused == {401},
        f"the status page shows {rule} against its threshold": plotted,
    }
