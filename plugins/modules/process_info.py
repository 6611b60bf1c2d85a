#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: process_info
short_description: Count processes by name, with memory and processor time
description:
  - Reads C(/proc) once and sums up the processes of each name.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  names:
    description: Beginnings of command names as the kernel has them, such as V(nginx) and V(php-fpm).
    type: list
    elements: str
    required: true
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Look at the web processes
  campaign.rollback.process_info:
    names: [nginx, php-fpm]
"""

RETURN = r"""
processes:
  description: For each name the number of processes, resident bytes, processor seconds and process ids.
  returned: success
  type: dict
  sample: {nginx: {count: 3, rss_bytes: 9437184, cpu_s: 1.2, pids: [120, 121, 122]}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.processes import read


def main() -> None:
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, processes=read(module.params["names"]))


if __name__ == "__main__":
    main()
