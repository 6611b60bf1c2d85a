#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_textfile
short_description: Write what the state host knows as metrics
description:
  - Writes a file for the collector C(textfile) of Prometheus' node_exporter, whole or not at all.
  - It has the metrics of the triggers as they are given, and those of restore points, runs and drills.
version_added: 0.1.0
options:
  path:
    description: The file, in the collector's directory, with a name that ends with C(.prom).
    type: path
    required: true
  metrics:
    description: Metrics of the triggers, as M(campaign.rollback.trigger_check) returns them.
    type: str
    default: ""
  drills:
    description: Contents of files C(evidence.json) of drills.
    type: list
    elements: dict
    default: []
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Writes nothing.
    support: full
  diff_mode:
    description: Metrics are for programs.
    support: none
  idempotent:
    description: Each check has another time.
    support: none
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Let node_exporter tell of triggers, restore points and runs
  campaign.rollback.monitoring_textfile:
    path: /var/lib/prometheus/node-exporter/rollback.prom
    metrics: "{{ triggers_found.metrics }}"
"""

RETURN = r"""
samples:
  description: How many samples the file has.
  returned: success
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import monitoring
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "metrics": {"type": "str", "default": ""},
            "drills": {"type": "list", "elements": "dict", "default": []},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    given = module.params
    text, damaged = given["metrics"], ""
    try:
        text += monitoring.exposition(given["state_dir"], given["drills"], time.time())
    except (RollbackError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # The triggers are told all the same, or it would look as if nobody checked them.
        damaged = f"Restore points, runs and drills are not told. Found: {type(error).__name__}: {error}"
    try:
        if not module.check_mode:
            # node_exporter runs as another user.
            write_atomically(given["path"], text.encode("utf-8"), mode=0o644)
    except (RollbackError, OSError) as error:
        module.fail_json(msg=str(error))
    if damaged:
        module.fail_json(msg=damaged)
    samples = sum(not line.startswith("#") for line in text.splitlines())
    # A look at the system, and nothing of the system itself.
    module.exit_json(changed=False, samples=samples)


if __name__ == "__main__":
    main()
