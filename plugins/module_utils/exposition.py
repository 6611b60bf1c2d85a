"""Prometheus' text format, as the collector ``textfile`` of node_exporter reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Optional

#: Labels of a sample and its value; None where nothing can be told, which is no sample.
Sample = tuple[Mapping[str, str], Optional[float]]


@dataclasses.dataclass(frozen=True)
class Gauge:
    """One metric; ``name`` ends with its base unit."""

    name: str
    help: str
    samples: list[Sample]


def text(gauges: Iterable[Gauge]) -> str:
    """The lines of all gauges, each ended."""
    lines = []
    for gauge in gauges:
        lines += [f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} gauge"]
        lines += [f"{gauge.name}{_braced(labels)} {value}" for labels, value in gauge.samples if value is not None]
    return "".join(line + "\n" for line in lines)


def _braced(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
