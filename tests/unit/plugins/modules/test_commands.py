"""Modules that drive programs: the cases in test_<module>.yaml, each with the exact calls and what they answer.

``arguments`` and ``check`` go to the module. ``files`` are made below the test's directory, which ``{tmp}`` stands for
everywhere; ``{pid}`` and ``{parent}`` are two processes that run: this one, and the one that started it. ``calls`` are
the programs that must run, in this order and no other, with no addition to their environment but ``environment``.
``result`` is a part of what the module returns; ``fails`` is a part of its message instead.
"""

from __future__ import annotations

import os
import pathlib

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

CASES = [
    pytest.param(path.stem.removeprefix("test_"), case, id=f"{path.stem.removeprefix('test_')}: {case['name']}")
    for path in sorted(pathlib.Path(__file__).parent.glob("test_*.yaml"))
    for case in yaml.safe_load(path.read_text())
]
CANARY = "canary-7f3a"


def filled(value, places):
    """``value`` with each of ``places`` replaced wherever it occurs."""
    if isinstance(value, dict):
        return {key: filled(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, places) for item in value]
    if value in ("{pid}", "{parent}"):
        return places[value]
    for place, text in places.items() if isinstance(value, str) else []:
        value = value.replace(place, str(text))
    return value


@pytest.mark.parametrize(("module", "case"), CASES)
def test_case(module, case, tmp_path, monkeypatch, run_module):
    case = filled(case, {"{tmp}": tmp_path, "{pid}": os.getpid(), "{parent}": os.getppid(), "{cwd}": os.getcwd()})
    for name, text in case.get("files", {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    expected = list(case.get("calls", []))

    def run_command(self, argv, check_rc=False, cwd=None, environ_update=None, **_options):
        assert expected, f"nothing more should run, but {argv} did"
        call = expected.pop(0)
        assert argv == call["argv"]
        assert cwd == call.get("cwd")
        assert (environ_update or {}) == call.get("environment", {})
        answer = call.get("rc", 0), call.get("out", ""), call.get("err", "")
        if check_rc and answer[0]:
            self.fail_json(msg="failed", rc=answer[0])
        return answer

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    result = run_module(module, case["arguments"], check=case.get("check", False), fails="fails" in case)
    assert expected == [], "these calls were not made"
    assert CANARY not in str(result)
    if "fails" in case:
        assert case["fails"] in result["msg"]
    else:
        assert {key: result.get(key) for key in case["result"]} == case["result"]
