#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_page
short_description: Write what the status page shows
description:
  - Writes the data of the status page, with the values of the last hours that it had before, whole or not at all.
  - The file belongs to the group of its directory and can be read by that group.
version_added: 0.1.0
options:
  path:
    description: The file C(data.json) beside the page.
    type: path
    required: true
  found:
    description: What M(campaign.rollback.trigger_check) returned.
    type: dict
    required: true
  environment:
    description: Name of the system.
    type: str
    required: true
  span_s:
    description: How many seconds of values are kept.
    type: int
    default: 21600
attributes:
  check_mode:
    description: Writes nothing.
    support: full
  diff_mode:
    description: The data are for the page.
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
- name: Show the triggers
  campaign.rollback.monitoring_page:
    path: /var/www/rollback/data.json
    found: "{{ triggers_found }}"
    environment: production
"""

RETURN = r"""
points:
  description: How many values the page shows.
  returned: success
  type: int
"""

import json
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import status_page
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically


def before(path):
    """What the page shows now, empty if it shows nothing."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "found": {"type": "dict", "required": True},
            "environment": {"type": "str", "required": True},
            "span_s": {"type": "int", "default": 21600},
        },
        supports_check_mode=True,
    )
    given = module.params
    path = given["path"]
    try:
        data = status_page.data(given["found"], before(path), given["environment"], time.time(), given["span_s"])
        if not module.check_mode:
            owner = os.geteuid(), os.stat(os.path.dirname(path)).st_gid
            write_atomically(path, json.dumps(data, separators=(",", ":")).encode() + b"\n", mode=0o640, owner=owner)
    except OSError as error:
        module.fail_json(msg=str(error))
    # A look at the system, and nothing of the system itself.
    module.exit_json(changed=False, points=sum(len(rule["points"]) for rule in data["rules"]))


if __name__ == "__main__":
    main()
