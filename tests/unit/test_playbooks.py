"""Shapes of the playbooks that a linter does not know."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
PLAYBOOKS = sorted(ROOT.glob("playbooks/**/*.yml"))


def blocks(tasks):
    """Every block with a rescue, however deep."""
    for task in tasks or []:
        if "rescue" in task:
            yield task
        for key in ("block", "rescue", "always"):
            yield from blocks(task.get(key))


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_rescue_does_not_end_itself(path):
    """A rescue inherits the condition of its block, and says stop itself: what it keeps after that would be lost."""
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        for block in blocks(play.get("tasks")):
            condition = str(block.get("when", ""))
            assert "run_stop" not in condition, f"{play['name']}: {block['name']}"
            assert "run_host_stopped" not in condition, f"{play['name']}: {block['name']}"
