#!/usr/bin/env python3
"""Stands for the WhatsApp network: counts what it is given by message id, and knows which devices phones unlinked."""

import argparse
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class Ledger:
    """Deliveries by message id, kept in memory and in a file that survives a restart."""

    def __init__(self, path: Path) -> None:
        """Read back what was counted before a restart."""
        self._path = path
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._counts[json.loads(line)["message_id"]] += 1

    def add(self, message: dict[str, object]) -> int:
        """Count a delivery and return how often its message arrived so far."""
        message_id = str(message["message_id"])
        with self._lock:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(message) + "\n")
            self._counts[message_id] += 1
            return self._counts[message_id]

    def count(self, message_id: str) -> int:
        """Return how often a message arrived."""
        with self._lock:
            return self._counts.get(message_id, 0)

    def summary(self) -> dict[str, object]:
        """Return the totals and every message that arrived more than once."""
        with self._lock:
            return {
                "messages": len(self._counts),
                "deliveries": self._counts.total(),
                "duplicates": {key: count for key, count in self._counts.items() if count > 1},
            }

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._path.write_text("", encoding="utf-8")
            self._counts.clear()


class Handler(BaseHTTPRequestHandler):
    """GET /counts, GET /counts/<id>, POST /deliver, POST /reset; POST /connect and /unlink with a device.

    POST /people stands for those whom Alertmanager tells, GET /people has the number of times.
    """

    protocol_version = "HTTP/1.1"
    # Head and body are two writes; delayed acknowledgement would add 40 ms to each delivery.
    disable_nagle_algorithm = True
    ledger: Ledger
    #: Devices that a phone has unlinked. A device is an account's id with its registration, so a new link is a new one.
    unlinked: ClassVar[set[str]] = set()
    people_told: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Answer a reader."""
        if self.path == "/counts":
            self._answer(200, self.ledger.summary())
        elif self.path.startswith("/counts/"):
            message_id = self.path.removeprefix("/counts/")
            self._answer(200, {"message_id": message_id, "deliveries": self.ledger.count(message_id)})
        elif self.path == "/people":
            self._answer(200, {"told": self.people_told})
        else:
            self._answer(404, {"message": "Not found."})

    def do_POST(self) -> None:
        """Take a delivery or a reset."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/deliver":
            self._deliver(body)
        elif self.path == "/connect":
            device = str(json.loads(body)["device"])
            self._answer(401 if device in self.unlinked else 200, {})
        elif self.path == "/unlink":
            self.unlinked.add(str(json.loads(body)["device"]))
            self._answer(200, {})
        elif self.path == "/people":
            type(self).people_told += 1
            self._answer(200, {})
        elif self.path == "/reset":
            self.ledger.reset()
            self._answer(200, self.ledger.summary())
        else:
            self._answer(404, {"message": "Not found."})

    def log_message(self, format: str, *args: object) -> None:
        """The ledger is the log; a line per request would only fill the journal."""

    def _deliver(self, body: bytes) -> None:
        try:
            message = json.loads(body)
            deliveries = self.ledger.add(message)
        except (ValueError, KeyError, TypeError):
            self._answer(422, {"message": "A JSON object with message_id is required."})
            return
        self._answer(200, {"message_id": message["message_id"], "deliveries": deliveries})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    # The default of five refuses connections when a worker per host sends at once.
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="ADDRESS:PORT")
    parser.add_argument("--ledger", type=Path, default=Path("/var/lib/sink/deliveries.jsonl"), metavar="FILE")
    arguments = parser.parse_args()

    address, _, port = arguments.listen.rpartition(":")
    Handler.ledger = Ledger(arguments.ledger)
    Server((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
