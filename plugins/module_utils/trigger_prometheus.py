"""Values over time from a Prometheus server, by its HTTP interface."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series

MOST_BYTES = 16 * 1024 * 1024


def sample(
    url: str, query: str, now: float, window_s: float, step_s: float, headers: Mapping[str, str], timeout_s: float
) -> list[Series]:
    """One series for each label set that the query gives, in steps of ``step_s``; NaN is no value."""
    asked = {"query": query, "start": now - window_s, "end": now, "step": max(1.0, step_s)}
    request = urllib.request.Request(
        url.rstrip("/") + "/api/v1/query_range",
        data=urllib.parse.urlencode(asked).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            found = json.loads(answer.read(MOST_BYTES))
        results = found["data"]["result"]
        return [_series(query, one, now, max(1.0, step_s)) for one in results]
    except urllib.error.HTTPError as error:
        with error:
            raise RollbackError("Prometheus refused a query", found=_reason(error), where=query) from None
    except (OSError, http.client.HTTPException) as error:
        reason = type(getattr(error, "reason", error)).__name__
        raise RollbackError("Prometheus does not answer", found=reason, where=url) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RollbackError("Prometheus gave no range of values", found=type(error).__name__, where=query) from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(65536))["error"])[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return f"status {error.code}"


def _series(query: str, one: Mapping[str, Any], now: float, step_s: float) -> Series:
    labels = ",".join(f"{name}={value}" for name, value in sorted(one["metric"].items()))
    points = [(float(at), float(value)) for at, value in one["values"]]
    rows = [[now - at, step_s, 1, 0, 0, value] for at, value in points if not math.isnan(value)]
    return Series("prometheus", "value", query, labels, rows=rows)
