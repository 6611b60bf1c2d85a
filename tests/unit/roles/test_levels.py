"""What the roles say of levels agrees: the assessment recommends what a rollback would really do."""

from __future__ import annotations

import pathlib
import re

import yaml
from ansible_collections.campaign.rollback.plugins.module_utils.recommendation import NEEDS

ROOT = pathlib.Path(__file__).parents[3]


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


LEVELS = load("roles/run/defaults/main.yml")["run_levels"]
ROLLBACKS = {name: level for name, level in LEVELS.items() if "playbook" not in level}
DECLARED = {level["name"]: level for level in load("roles/impact/defaults/main.yml")["impact_levels"]}


def covered(name, level):
    """What a level mends, by the components that it takes back."""
    if name == "selective":
        return ["function"]
    own = set(level["components"])
    needed = {
        "function": {"application"},
        "frontend": {"frontend"},
        "code": {"application"},
        "structure": {"database"},
        # Whoever keeps the data can only reverse migrations.
        "data": {"nothing"} if level.get("keeps_data") else {"database"},
        "sessions": {"whatsapp_session"},
    }
    return [need for need in NEEDS if needed[need] <= own]


def test_the_assessment_knows_every_level_of_a_rollback_and_no_other():
    assert set(DECLARED) == set(ROLLBACKS)


def test_what_a_level_covers_follows_from_its_components():
    assert {name: level["covers"] for name, level in DECLARED.items()} == {
        name: covered(name, level) for name, level in ROLLBACKS.items()
    }


def test_every_level_has_its_playbook_and_every_playbook_its_level():
    named = {level.get("playbook", f"rollback-{name}"): name for name, level in LEVELS.items()}
    for playbook, name in named.items():
        text = (ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
        assert re.findall(r"run_level: (\w+)", text) == [name]
    assert {path.stem for path in (ROOT / "playbooks").glob("rollback-*.yml")} <= set(named)


def test_what_is_no_rollback_holds_nobody_back():
    assert all(level["gate"] is False for level in LEVELS.values() if "playbook" in level)


def test_every_component_of_a_level_is_a_role():
    components = {component for level in LEVELS.values() for component in level["components"]}
    assert components <= {path.name for path in (ROOT / "roles").iterdir()}


def test_the_assessment_reads_no_variable_of_another_role_that_is_gone():
    roles = ("application", "frontend", "database", "services", "validation", "whatsapp_session", "run")
    known = {name for role in roles for name in load(f"roles/{role}/defaults/main.yml")}
    names = re.findall(
        rf"\b((?:{'|'.join(roles)})_\w+)(?= \| default\()",
        (ROOT / "roles" / "impact" / "vars" / "main.yml").read_text(encoding="utf-8"),
    )
    assert len(names) > 10
    assert sorted(set(names) - known) == []
