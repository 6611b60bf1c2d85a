#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Tell everything on a host that stands against a rollback
description:
  - Looks at room, rights, programs, Python modules and the clock, and reports all problems at once.
  - Never fails because of a problem, so that those of every host can be shown together.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  paths:
    description:
      - Where the run will write. A path that does not exist is judged by its nearest parent that does.
      - The needs of paths on one file system are added up.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      free_bytes:
        description: Bytes that have to be free for it.
        type: int
        required: true
      free_inodes:
        description: Inodes that have to be free for it. A file system without a limit always has them.
        type: int
        default: 1000
      writable:
        description: Whether the user who runs the module has to be able to write there.
        type: bool
        default: true
  binaries:
    description: Programs that have to be in the C(PATH), which C(/usr/sbin), C(/sbin) and C(/usr/local/sbin) add to.
    type: list
    elements: str
    default: []
  python_modules:
    description: Modules that the Python that runs this one has to be able to import.
    type: list
    elements: str
    default: []
  controller_time:
    description:
      - Unix time on the controller when the task was sent, from a time zone aware date or a local one.
      - Without it the clock is not judged.
    type: float
  max_skew_s:
    description: Seconds that the host's clock may be off. What sending the task takes counts as well.
    type: float
    default: 30
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what stands against loading a backup here
  campaign.rollback.preflight_info:
    paths:
      - path: /var/lib/rollback
        free_bytes: 1073741824
    binaries: [zstd, mariadb]
    python_modules: [pymysql]
    controller_time: "{{ now().timestamp() }}"
"""

RETURN = r"""
problems:
  description: What stands against a rollback, a sentence each; empty if nothing does.
  returned: success
  type: list
  elements: str
  sample:
    - "The file system has too few inodes. Found: 12 free, 1000 needed. Look at: /var/lib/rollback."
clock_offset_s:
  description: Seconds that the host's clock is ahead of O(controller_time), null without it.
  returned: success
  type: float
  sample: 0.4
paths:
  description:
    - For each path C(free_bytes) and C(free_inodes) of its file system, null if those have no limit.
    - Also C(existing), the path or its nearest parent that exists.
  returned: success
  type: dict
  sample: {/var/lib/rollback: {free_bytes: 8123456, free_inodes: 523344, existing: /var/lib}}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import preflight

PATH = {
    "path": {"type": "path", "required": True},
    "free_bytes": {"type": "int", "required": True},
    "free_inodes": {"type": "int", "default": 1000},
    "writable": {"type": "bool", "default": True},
}


def main() -> None:
    now = time.time()
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "dict", "default": [], "options": PATH},
            "binaries": {"type": "list", "elements": "str", "default": []},
            "python_modules": {"type": "list", "elements": "str", "default": []},
            "controller_time": {"type": "float"},
            "max_skew_s": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    paths, problems = preflight.look_at_paths(preflight.Need(**need) for need in params["paths"])
    problems += preflight.binary_problems(params["binaries"])
    problems += preflight.python_problems(params["python_modules"])
    offset = None if params["controller_time"] is None else round(now - params["controller_time"], 3)
    if offset is not None:
        problems += preflight.clock_problems(offset, params["max_skew_s"])
    module.exit_json(changed=False, problems=problems, clock_offset_s=offset, paths=paths)


if __name__ == "__main__":
    main()
