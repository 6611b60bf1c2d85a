#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: trigger_check
short_description: Judge every trigger of a rollback
description:
  - Gives a verdict for each rule on what M(campaign.rollback.trigger_sample) measured on all hosts, and names the
    largest level of rollback that the fired ones ask for. It starts nothing, and never fails because a rule fired.
  - Runs on the state host. C(<state_dir>/triggers.json) remembers since when something is wrong, and what was seen at a
    glance earlier. Without it a rule that wants something to last would see it begin at each check.
  - What was logged before the last rollback, undo or deployment ended counts no more. Nothing fires while somebody
    holds the lease to change the system, nor O(cooldown_s) after a rollback.
version_added: 0.1.0
options:
  series:
    description: What was measured on all hosts, as M(campaign.rollback.trigger_sample) returns it.
    type: list
    elements: dict
    required: true
  rules:
    description:
      - Rules beside those of the collection; one with the C(name) of another is laid over it, C(enabled) V(false) takes
        it out. See C(docs/triggers.md).
    type: list
    elements: dict
    default: []
  silent:
    description: Hosts that did not answer; what only they know nobody knows.
    type: dict
    default: {}
  groups:
    description: Probes by name of a group, for rules that say C(only).
    type: dict
    default: {}
  functions:
    description: Probes, or their names, by the name of a function that they test.
    type: dict
    default: {}
  vantages:
    description: From how many places each probe is sent. As long as fewer answer, a probe that fails proves nothing.
    type: int
    default: 1
  cooldown_s:
    description: Seconds after a rollback in which nothing fires.
    type: float
    default: 600
  state_dir:
    description: Directory that keeps what is remembered on the state host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Judges, and remembers nothing.
    support: full
  diff_mode:
    description: What is remembered is for the next check, not for people.
    support: none
  idempotent:
    description: Each check is remembered.
    support: none
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Judge the triggers
  campaign.rollback.trigger_check:
    series: "{{ measured }}"
    rules:
      - {name: memory, above: 0.95}
      - {name: response_time, enabled: false}
"""

RETURN = r"""
rules:
  description:
    - For each rule its C(verdict) (C(ok), C(pending), C(fired), C(no_data) or C(inconclusive)), C(since) when it is
      wrong (Unix time, 0 if it is not), C(why), C(where), the newest C(values) with their times, C(evidence), C(notes).
  returned: success
  type: list
  elements: dict
  sample: [{name: error_rate, verdict: pending, since: 1795337100, why: 240 of 600 s, level: partial}]
fired:
  description: Names of the rules that fired.
  returned: success
  type: list
  elements: str
level:
  description: The largest level that they ask for, empty if none does.
  returned: success
  type: str
held:
  description: Why nothing fires at the moment, empty if it may.
  returned: success
  type: str
metrics:
  description: The same in Prometheus' text format, for the collector C(textfile) of node_exporter.
  returned: success
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import (
    trigger_alerts,
    trigger_check,
    trigger_rules,
    trigger_series,
    trigger_state,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def measured(given):
    """Series of all hosts, and one that says so for each source of a host that did not answer."""
    silent = [
        trigger_series.failed(source, "it does not answer", host)
        for host, sources in given["silent"].items()
        for source in sources
    ]
    return trigger_series.parse(given["series"]) + silent


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "series": {"type": "list", "elements": "dict", "required": True},
            "rules": {"type": "list", "elements": "dict", "default": []},
            "silent": {"type": "dict", "default": {}},
            "groups": {"type": "dict", "default": {}},
            "functions": {"type": "dict", "default": {}},
            "vantages": {"type": "int", "default": 1},
            "cooldown_s": {"type": "float", "default": 600},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    given = module.params
    tests = {
        name: [one if isinstance(one, str) else one["name"] for one in own] for name, own in given["functions"].items()
    }
    declared = trigger_check.Declared(given["groups"], tests, given["vantages"])
    try:
        rules, series = trigger_rules.parse(given["rules"]), measured(given)
        with trigger_state.Memory(given["state_dir"], keep=not module.check_mode) as memory:
            now = time.time()
            hold = trigger_state.hold(given["state_dir"], now, given["cooldown_s"])
            found = trigger_check.check(rules, series, memory.data, now, hold, declared)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    # What is remembered is the engine's own, and nothing of the system.
    module.exit_json(changed=False, metrics=trigger_alerts.exposition(found, now), **found)


if __name__ == "__main__":
    main()
