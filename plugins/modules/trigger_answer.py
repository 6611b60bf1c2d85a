#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: trigger_answer
short_description: Say whether a rollback may start by itself
description:
  - Decides on what the last M(campaign.rollback.trigger_check) left on the state host, on which it runs. It starts
    nothing itself.
  - Nothing may start while somebody changes the system, within O(cooldown_s) after a rollback, on a check that came
    before the last change or is older than five minutes, for a level that O(automatic) does not name, nor to a restore
    point that is not known good, was taken after it began, or was gone back to by itself already, nor while a run
    that stopped half way waits for somebody.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  automatic:
    description: Levels that may start by themselves.
    type: list
    elements: str
    choices: [selective, frontend, partial, full]
    default: []
  rules:
    description: The inventory's rules, as for M(campaign.rollback.trigger_check).
    type: list
    elements: dict
    default: []
  cooldown_s:
    description: Seconds after a rollback in which nothing starts.
    type: float
    default: 600
  state_dir:
    description: Directory that keeps what is remembered on the state host.
    type: path
    default: /var/lib/rollback
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Decide on what the last check found
  campaign.rollback.trigger_answer:
    automatic: [frontend]
  register: answer
"""

RETURN = r"""
do:
  description: V(start), V(ask) somebody, or V(nothing).
  returned: success
  type: str
why:
  description: For people and for the record.
  returned: success
  type: str
  sample: "error_rate since 2026-11-22 08:00:10 UTC"
level:
  description: The largest level that what fired asks for, empty if none does.
  returned: success
  type: str
fired:
  description: Names of the rules that fired.
  returned: success
  type: list
  elements: str
restore_point:
  description: Id of the restore point that V(latest) means, empty if there is none.
  returned: success
  type: str
fencing:
  description:
    - Number of the newest lease when this was decided. Whoever takes the next one acts on the system as it was judged.
  returned: success
  type: int
next_step:
  description: The command for whoever decides.
  returned: success
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import (
    impact_state,
    leases,
    trigger_answer,
    trigger_rules,
    trigger_state,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "automatic": {"type": "list", "elements": "str", "choices": list(trigger_rules.LEVELS[1:]), "default": []},
            "rules": {"type": "list", "elements": "dict", "default": []},
            "cooldown_s": {"type": "float", "default": 600},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    given = module.params
    state_dir, now = given["state_dir"], time.time()
    try:
        # Before everything that is judged: a lease taken meanwhile must not go unnoticed.
        lease = leases.read(state_dir)
        hold = trigger_state.hold(state_dir, now, given["cooldown_s"])
        store = Store(state_dir)
        point = store.resolve("latest") if store.ids() else {}
        with trigger_state.Memory(state_dir, keep=False) as memory:
            rules = trigger_rules.parse(given["rules"])
            recent = impact_state.latest_runs(state_dir)
            stopped = impact_state.unfinished(state_dir, lease, now)
            found = trigger_answer.answer(rules, memory.data, now, hold, given["automatic"], point, recent, stopped)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, fencing=lease.get("fencing", 0), **found)


if __name__ == "__main__":
    main()
