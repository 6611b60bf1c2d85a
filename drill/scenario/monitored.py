"""Show that the drill system is monitored: ``python drill/scenario/monitored.py``, after ``make up``.

Under traffic a fault is switched on. Prometheus has to see it in what checks of the triggers write, Alertmanager has to
tell a webhook at the address of ansible-rulebook, with the token, and the status page has to show it in a browser.
"""

from __future__ import annotations

import http.server
import json
import queue
import shutil
import sys
import threading
import time
from typing import Any

import httpx
from playwright.sync_api import sync_playwright
from steps import say
from system import ROOT, System
from traffic import Traffic

HOSTS = {"web1", "web2", "data1", "wa1", "hub"}
#: So that nobody has to wait for ten minutes.
RULES = [{"name": "error_rate", "for_s": 20}]
FAULTS = {"error_share": 0.3}


class Webhook(http.server.BaseHTTPRequestHandler):
    """Stands where ansible-rulebook listens."""

    told: queue.Queue[tuple[float, str, str | None, dict[str, Any]]] = queue.Queue()

    def do_POST(self) -> None:
        """Keep what was sent."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.told.put((time.time(), self.path, self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def answers(hub: str, query: str) -> dict[str, float]:
    """What Prometheus knows now, by instance."""
    found = httpx.get(f"http://{hub}:9090/api/v1/query", params={"query": query}, timeout=15, trust_env=False).json()
    return {one["metric"].get("instance", ""): float(one["value"][1]) for one in found["data"]["result"]}


def healthy(system: System, hub: str, given: dict[str, str]) -> None:
    """Every host is scraped, the state host tells of triggers, and the rules are those that were written."""
    run = system.play("playbooks/check-triggers.yml", given)
    print(f"  check-triggers of a healthy system: exit {run.rc}")
    system.wait_until("every host is scraped", lambda: answers(hub, 'up{job="node"} == 1').keys() == HOSTS)
    system.wait_until(
        "the check is known", lambda: answers(hub, "time() - rollback_trigger_checked_timestamp_seconds < 60")
    )
    for query in ("rollback_trigger_limit", "count by (instance) (rollback_trigger_verdict)", "node_load1"):
        print(f"  {query}: {answers(hub, query)}")
    groups = httpx.get(f"http://{hub}:9090/api/v1/rules", timeout=15, trust_env=False).json()["data"]["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    print(f"  {len(rules)} rules, health: {set(rules.values())}")
    if "RollbackErrorRate" not in rules or "err" in rules.values():
        sys.exit(f"Prometheus did not load the rules: {rules}")


def alerted(system: System, hub: str, given: dict[str, str]) -> None:
    """The webhook hears of the fault, with the token."""
    began = time.time()
    while Webhook.told.empty():
        if time.time() > began + 300:
            sys.exit("No alert within five minutes")
        system.play("playbooks/check-triggers.yml", given)
    at, path, token, body = Webhook.told.get()
    labels = body["alerts"][0]["labels"]
    print(
        f"  told after {at - began:.1f} s at {path}: {labels['alertname']}, level {labels['level']}, {body['status']}"
    )
    if token != "Bearer " + system.secret("eda_webhook_token") or labels["trigger"] != "error_rate":
        sys.exit("It came without the token, or is another one")


def seen(system: System, hub: str) -> None:
    """The page is for those with the password, and shows what fired."""
    url, artifacts = f"http://{hub}/monitoring/", ROOT / "artifacts" / "drill" / "monitored"
    artifacts.mkdir(parents=True, exist_ok=True)
    for path in ("", "data.json", "index.html"):
        refused = httpx.get(url + path, timeout=15, trust_env=False).status_code
        print(f"  {url}{path} without a password: {refused}")
        if refused != 401:
            sys.exit("The page is open to everybody")
    password = {"username": "operator", "password": system.secret("monitoring_password")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(http_credentials=password, viewport={"width": 1200, "height": 900}).new_page()
        page.goto(url)
        card = page.locator("#rule-error_rate[data-verdict=fired]")
        card.wait_for()
        print(f"  {card.locator('.verdict').inner_text()}: {card.locator('svg').get_attribute('aria-label')}")
        print(f"  {page.locator('svg').count()} plots, {page.locator('line.limit').count()} thresholds")
        page.screenshot(path=artifacts / "page.png")
        browser.close()


def main() -> None:
    """Everything in turn; ends with an exit status other than 0 at what does not hold."""
    system = System()
    hub = f"{system.network}.41"
    settings = ROOT / "artifacts" / "drill" / "monitored.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"triggers_rules": RULES, "drill_faults": FAULTS, "deploy_version": "v2"}))
    given = {"@" + str(settings): ""}
    httpd = http.server.ThreadingHTTPServer((f"{system.network}.1", 5000), Webhook)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    choice = {"template_id": system.query("SELECT MIN(id) FROM templates")[0][0]}
    choice["group_id"] = system.query("SELECT id FROM contact_groups WHERE name = 'Pilot'")[0][0]
    traffic = Traffic(system.web, system.secret("api_token"), choice)
    traffic.start()
    try:
        say("A healthy system")
        system.must("drill/monitoring.yml", given)
        system.must("drill/deploy.yml", given)
        healthy(system, hub, given)
        say("A fault")
        system.must("drill/faults.yml", given)
        alerted(system, hub, given)
        say("The page")
        seen(system, hub)
        system.must("drill/faults.yml")
    finally:
        traffic.stop()
        httpd.shutdown()


if __name__ == "__main__":
    main()
