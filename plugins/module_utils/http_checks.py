"""HTTP checks as data: what is asked, what must come back, and why a check failed. Sending is the caller's."""

from __future__ import annotations

import dataclasses
import json
import statistics
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@dataclasses.dataclass
class Check:
    """One declared check. ``status`` lists the accepted codes; ``json`` maps dotted paths to wanted values.

    ``held`` is a path that is held back on purpose: it has to answer 503 and say when to come again, to anybody who has
    not the secret that passes.
    """

    name: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    status: list[int] = dataclasses.field(default_factory=lambda: [200])
    contains: list[str] = dataclasses.field(default_factory=list)
    absent: list[str] = dataclasses.field(default_factory=list)
    json: dict[str, Any] = dataclasses.field(default_factory=dict)
    max_s: float = 10.0
    rollback_only: bool = False
    baseline: bool = False
    held: bool = False

    @property
    def reads_only(self) -> bool:
        """True if the request changes nothing: by its method, or because it must be refused."""
        return self.method in ("GET", "HEAD") or all(status >= 400 for status in self.status)


def parse(declared: list[dict[str, Any]], secrets: dict[str, str]) -> list[Check]:
    """Checks from inventory data. ``secrets`` are headers, such as Authorization, for checks with ``token: true``."""
    checks: list[Check] = []
    known = {field.name for field in dataclasses.fields(Check)} | {"token"}
    for item in declared:
        unknown = sorted(set(item) - known)
        if unknown or not item.get("name") or not str(item.get("path", "")).startswith("/"):
            raise RollbackError(
                "A check needs a name and a path that starts with /, and knows only " + ", ".join(sorted(known)),
                found=", ".join(unknown) or {key: item.get(key) for key in ("name", "path")},
                where="validation_http_checks",
            )
        if item["name"] in [check.name for check in checks]:
            raise RollbackError("Two checks have the same name", found=item["name"], where="validation_http_checks")
        try:
            checks.append(Check(**typed(item, secrets)))
        except (TypeError, ValueError):
            raise RollbackError(
                "A check has a value of the wrong type", found=item["name"], where="validation_http_checks"
            ) from None
    return checks


def typed(item: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """Values of one declared check; single values where a list belongs, and numbers as text, are meant as they look."""
    values = {key: value for key, value in item.items() if key != "token"}
    values["method"] = str(values.get("method", "GET")).upper()
    values["status"] = [int(status) for status in many(values.get("status", 503 if values.get("held") else 200))]
    for key in ("contains", "absent"):
        values[key] = [str(text) for text in many(values.get(key, []))]
    values["headers"] = {**values.get("headers", {}), **(secrets if item.get("token") else {})}
    values["json"] = dict(values.get("json", {}))
    values["max_s"] = float(values.get("max_s", Check.max_s))
    return values


def many(value: Any) -> list[Any]:
    """A list as it is, anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def lookup(document: Any, dotted: str) -> Any:
    """Value at a dotted path such as ``data.0.status``; None if there is none."""
    for part in dotted.split("."):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


def judge(check: Check, status: int, text: str, seconds: float, retry_after: str = "") -> str:
    """Why an answer fails its check; empty if it passes. The answer's text is never repeated."""
    if status not in check.status:
        return f"status {status}, wanted {' or '.join(map(str, check.status))}"
    if check.held and not retry_after:
        return "it does not say when to come again (Retry-After)"
    if seconds > check.max_s:
        return f"took {seconds:.2f} s, at most {check.max_s:g} s allowed"
    for wanted in check.contains:
        if wanted not in text:
            return f"'{wanted}' is not in the answer"
    for unwanted in check.absent:
        if unwanted in text:
            return f"'{unwanted}' is in the answer"
    if check.json:
        try:
            document = json.loads(text)
        except ValueError:
            return "the answer is not JSON"
        for path, value in check.json.items():
            if lookup(document, path) != value:
                return f"{path} is not {value!r}"
    return ""


def summary(seconds: list[float]) -> dict[str, float]:
    """``{p50, p95, samples}`` of answer times in seconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"p50": round(statistics.median(ordered), 4), "p95": round(p95, 4), "samples": len(ordered)}
