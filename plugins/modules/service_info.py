#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: Tell which units are active and which code they run
description:
  - Asks systemd once for all units, and the kernel for the directory that each main process runs in.
  - A worker that was not restarted still runs in the directory of the old release, whatever the link says.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  units:
    description: systemd units.
    type: list
    elements: str
    required: true
  path:
    description: Link to the live release.
    type: path
    default: /srv/campaign/current
  configuration:
    description: Whether PHP-FPM is asked how long its reload waits for requests under way.
    type: bool
    default: false
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what the worker runs
  campaign.rollback.service_info:
    units: [campaign-worker.service]
"""

RETURN = r"""
services:
  description:
    - For each unit whether it C(exists) and is C(active).
    - Also the main process C(pid), and its C(directory) with links resolved.
    - With O(configuration) that of PHP-FPM has C(reload_waits_s), 0 if a reload cuts requests off.
  returned: success
  type: dict
missing:
  description: Units that do not exist.
  returned: success
  type: list
  elements: str
inactive:
  description: Units that are not active.
  returned: success
  type: list
  elements: str
live:
  description: O(path) with links resolved.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.php_fpm import reload_waits
from ansible_collections.campaign.rollback.plugins.module_utils.processes import directory_of
from ansible_collections.campaign.rollback.plugins.module_utils.units import argv, parse


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "configuration": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    services = {}
    if units:
        _status, output, _error = module.run_command(argv(units), check_rc=True)
        try:
            services = parse(output, units)
        except RollbackError as error:
            module.fail_json(msg=str(error))
        for service in services.values():
            service["directory"] = directory_of(service["pid"])
            waits = reload_waits(module.run_command, service["pid"]) if module.params["configuration"] else None
            service.update({} if waits is None else {"reload_waits_s": waits})
    module.exit_json(
        changed=False,
        services=services,
        missing=[unit for unit, service in services.items() if not service["exists"]],
        inactive=[unit for unit, service in services.items() if not service["active"]],
        live=os.path.realpath(module.params["path"]),
    )


if __name__ == "__main__":
    main()
