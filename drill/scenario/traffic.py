"""Steady traffic against each web host by itself, and a ledger of what the system acknowledged.

Nothing here knows about playbooks: it sees what a user sees, so its figures are measured from outside.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time

import httpx

#: Seconds between two requests to the same host; also the resolution of every outage figure.
INTERVAL_S = 0.1
#: One request in this many creates a campaign.
WRITE_EVERY = 20


@dataclasses.dataclass(frozen=True)
class Sample:
    """One request: when it was sent (Unix time), to whom, what came back (0: no answer) after how many seconds."""

    at: float
    host: str
    route: str
    status: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether a user would call it served."""
        return 200 <= self.status < 400


class Traffic:
    """Threads, one for each host, that send requests until stopped."""

    def __init__(self, urls: dict[str, str], token: str, choice: dict[str, int]) -> None:
        """Know whom to visit, as whom, and the template and group of new campaigns."""
        self.urls = urls
        self.token = token
        self.choice = choice
        self.samples: list[Sample] = []
        self.acknowledged: dict[int, str] = {}
        self.hybrid = threading.Event()
        #: What is read in turn; more may be added meanwhile.
        self.routes = ["/", "/api/campaigns", "/login", "/api/health"]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=item, daemon=True) for item in urls.items()]

    def start(self) -> None:
        """Begin on all hosts."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the request under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def reaches_past(self, moment: float) -> bool:
        """Whether every host was asked after a moment (Unix time), and answered or not."""
        return {sample.host for sample in list(self.samples) if sample.at > moment} == set(self.urls)

    def _visit(self, host: str, url: str) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        with httpx.Client(base_url=url, headers=headers, timeout=15, trust_env=False) as client:
            for number in itertools.count(1):
                began = time.time()
                if number % WRITE_EVERY:
                    self._send(client, host, "GET", self.routes[number % len(self.routes)], None)
                else:
                    self._write(client, host, number)
                if self._stop.wait(max(0.0, began + INTERVAL_S - time.time())):
                    return

    def _write(self, client: httpx.Client, host: str, number: int) -> None:
        name = f"traffic {host} {number} {time.time():.3f}"
        route, body = "/api/campaigns", {"name": name, **self.choice}
        if self.hybrid.is_set() and number % (2 * WRITE_EVERY):
            route = "/api/campaigns/hybrid"
        answer = self._send(client, host, "POST", route, body)
        if answer is not None and answer.status_code == 201:
            self.acknowledged[int(answer.json()["id"])] = name

    def _send(self, client: httpx.Client, host: str, method: str, route: str, body: object) -> httpx.Response | None:
        began = time.time()
        try:
            answer = client.request(method, route, json=body)
        except httpx.HTTPError:
            answer = None
        status = answer.status_code if answer is not None else 0
        self.samples.append(Sample(began, host, f"{method} {route}", status, time.time() - began))
        return answer
