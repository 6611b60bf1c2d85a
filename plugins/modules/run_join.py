#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_join
short_description: Let a host take part in a run, and tell everything on it that stands against that
description:
  - Announces the holder of the lease. From then on every change of an earlier holder is refused on this host; a change
    under way, such as one that a killed run left running, is waited for.
  - Looks at room, rights, programs, Python modules and the clock, and reports all problems at once.
  - Never fails because of a problem, so that those of every host can be shown together.
version_added: 0.1.0
options:
  fencing:
    description: Number of the lease, from M(campaign.rollback.run_lease). 0 announces nothing.
    type: int
    default: 0
  wait_s:
    description: Seconds to wait for a change under way, at most.
    type: float
    default: 60
  state_dir:
    description: Directory that keeps the number on this host.
    type: path
    default: /var/lib/rollback
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
attributes:
  check_mode:
    description: Says whether the number would change; refuses an older one.
    support: full
  diff_mode:
    description: Shows the number before and after.
    support: full
  idempotent:
    description: A number that was announced already changes nothing.
    support: full
  platform:
    description: Linux.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Refuse changes of earlier holders, and see what stands against loading a backup here
  campaign.rollback.run_join:
    fencing: 17
    paths:
      - path: /var/lib/rollback
        free_bytes: 1073741824
    binaries: [zstd, mariadb]
    python_modules: [pymysql]
    controller_time: "{{ now().timestamp() }}"
"""

RETURN = r"""
number:
  description: Number that was announced here before, 0 if none is announced now.
  returned: success
  type: int
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
from ansible_collections.campaign.rollback.plugins.module_utils import fences, preflight
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

PATH = {
    "path": {"type": "path", "required": True},
    "free_bytes": {"type": "int", "required": True},
    "free_inodes": {"type": "int", "default": 1000},
    "writable": {"type": "bool", "default": True},
}


def announce(params, check):
    """Make the number that of this host; returns the one before."""
    if not params["fencing"]:
        return 0
    before = fences.number(params["state_dir"])
    fences.refuse_stale(before, params["fencing"])
    if not check:
        fences.announce(params["state_dir"], params["fencing"], params["wait_s"])
    return before


def main() -> None:
    now = time.time()
    module = AnsibleModule(
        argument_spec={
            "fencing": {"type": "int", "default": 0},
            "wait_s": {"type": "float", "default": 60},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
            "paths": {"type": "list", "elements": "dict", "default": [], "options": PATH},
            "binaries": {"type": "list", "elements": "str", "default": []},
            "python_modules": {"type": "list", "elements": "str", "default": []},
            "controller_time": {"type": "float"},
            "max_skew_s": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        before = announce(params, module.check_mode)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    after = max(before, params["fencing"])
    paths, problems = preflight.look_at_paths(preflight.Need(**need) for need in params["paths"])
    problems += preflight.binary_problems(params["binaries"])
    problems += preflight.python_problems(params["python_modules"])
    offset = None if params["controller_time"] is None else round(now - params["controller_time"], 3)
    if offset is not None:
        problems += preflight.clock_problems(offset, params["max_skew_s"])
    module.exit_json(
        changed=before != after,
        number=before,
        problems=problems,
        clock_offset_s=offset,
        paths=paths,
        diff={"before": f"{before}\n", "after": f"{after}\n"},
    )


if __name__ == "__main__":
    main()
