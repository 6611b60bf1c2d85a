"""The detector of leaks finds every canary however it was quoted, encoded or cut, and nothing in innocent text."""

from __future__ import annotations

import base64
import json
import pprint
import shlex
import urllib.parse

import canaries
import leaks
import pytest
import yaml

VALUES = {name: make() for name, make in canaries.MAKERS.items()}
WAYS = {
    "raw": lambda value: value,
    "JSON": lambda value: json.dumps({"a": ["b" + value]}),
    "JSON with Unicode": lambda value: json.dumps([value], ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "Python": lambda value: repr([value]),
    "Python in ASCII": lambda value: ascii({"a": value}),
    "Python bytes": lambda value: repr(value.encode()),
    "pretty-printed": lambda value: pprint.pformat([value], width=60),
    "shell": lambda value: "echo " + shlex.quote("a=" + value),
    "YAML": lambda value: yaml.safe_dump({"a": value}),
    "YAML, double quotes": lambda value: yaml.safe_dump({"a": value}, default_style='"'),
    "YAML, single quotes": lambda value: yaml.safe_dump({"a": value}, default_style="'", allow_unicode=True),
    "YAML, block": lambda value: yaml.safe_dump({"a": value}, default_style="|"),
    "URL": lambda value: urllib.parse.urlencode({"a": value}, quote_via=urllib.parse.quote),
    "form": lambda value: urllib.parse.urlencode({"a": value}),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, one before": lambda value: base64.b64encode(b"=" + value.encode() + b"\n").decode(),
    "base64, two before": lambda value: base64.b64encode(b"a=" + value.encode() + b"\nb").decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 in lines": lambda value: base64.encodebytes(b"a" * 50 + value.encode()).decode(),
    "hexadecimal": lambda value: value.encode().hex(),
}


@pytest.fixture(scope="module")
def detector():
    return leaks.Detector(VALUES)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", VALUES)
def test_every_way_is_found(detector, name, way):
    found = detector.find(f"before {WAYS[way](VALUES[name])} after".encode())
    assert {what.split(" (")[0] for what in found} == {name}


def test_each_line_and_each_part_is_found(detector):
    for line in VALUES["signing_key_v1"].splitlines()[1:-1]:
        assert detector.find(f"  | {line}\\n".encode())
    for part in leaks.PART.findall(VALUES["mail_password_v1"]):
        assert detector.find(part.encode())


def test_findings_hold_no_part_of_a_secret(detector):
    told = " ".join(detector.find("\n".join(detector.patterns).encode()))
    assert not [part for value in VALUES.values() for part in leaks.PART.findall(value) if part[:4] in told]


def test_innocent_text_holds_nothing(detector):
    other = leaks.encodings(canaries.hostile(canaries.EVERYTHING))
    text = "-----BEGIN DRILL MATERIAL-----\nMAIL_PASSWORD=<changed>\n${HOME} {{ %s 'a' \"b\"" + "\n".join(
        other.values()
    )
    assert detector.find(text.encode()) == []


def test_secrets_are_made_once_and_private(tmp_path):
    assert set(canaries.make_missing(tmp_path / "secrets")) == set(canaries.MAKERS)
    before = leaks.secrets_in(tmp_path / "secrets")
    assert canaries.make_missing(tmp_path / "secrets") == []
    assert leaks.secrets_in(tmp_path / "secrets") == before
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o600}


def test_key_file_is_none_that_a_scanner_knows():
    assert "PRIVATE" not in canaries.block()


def entry(path, mode=0o600, owner=0, holds=()):
    return {"path": path, "mode": mode, "owner": owner, "holds": list(holds)}


@pytest.mark.parametrize(
    "kept",
    [
        entry("restore_points/20261121T000000Z/env/srv__campaign__shared__.env", holds=["a (raw)"]),
        entry("sessions/sales/20261121T000000Z/creds.json", owner=999, holds=["a (raw)"]),
        entry("runs/20261121T000000Z/replaced/env_restore/srv__campaign__shared__.env.undone", holds=["a (raw)"]),
        entry("runs/20261121T000000Z/journal.jsonl"),
    ],
)
def test_what_is_rightly_kept(kept):
    assert leaks.misplaced({"entries": [kept], "readable": {"/etc/motd": []}}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        entry("runs/20261121T000000Z/journal.jsonl", holds=["a (JSON)"]),
        entry("runs/20261121T000000Z/report.md", holds=["a (a part)"]),
        entry("restore_points/20261121T000000Z/manifest.json", holds=["a (raw)"]),
        entry("runs/20261121T000000Z/replaced/application/current", holds=["a (raw)"]),
        entry("restore_points/20261121T000000Z/env", mode=0o750),
        entry("restore_points/20261121T000000Z/database/blazz.sql.zst", mode=0o644),
        entry("runs/20261121T000000Z/replaced/env_restore/.env", owner=33),
    ],
)
def test_what_is_out_of_place(wrong):
    assert len(leaks.misplaced({"entries": [wrong], "readable": {}})) == 1


def test_file_that_everybody_can_read():
    assert len(leaks.misplaced({"entries": [], "readable": {"/tmp/dump": ["a (raw)"]}})) == 1
