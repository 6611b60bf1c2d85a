#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: state_info
short_description: Tell what the state host knows of restore points, runs and the lease
description:
  - Lists what is there, also if that is nothing, and names what cannot be read instead of failing because of it.
version_added: 0.1.0
options:
  backup_dir:
    description: Directory with plain dumps named C(backup_YYYYMMDD*.sql[.gz|.zst]).
    type: path
    default: /backups/database
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: Reads only.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what there is to go back to
  campaign.rollback.state_info:
  register: state
"""

RETURN = r"""
points:
  description:
    - The newest restore points, newest first, each with its C(id), C(age_s), C(commit), C(version), C(known_good), the
      C(kind), C(bytes) and C(files) of its database backup, when that was restored in a test (C(verified), empty if
      never) and why that failed (C(verification_failed)).
    - A manifest that cannot be read has a C(problem) instead.
  returned: success
  type: list
  elements: dict
standbys:
  description: What the newest of them recorded of the copy that they left loaded, with C(id) and C(standby).
  returned: success
  type: list
  elements: dict
runs:
  description:
    - The newest runs, newest first, with C(seconds) from start to verdict (null without a verdict).
    - C(switched) is false for one that ended before its switch.
  returned: success
  type: list
  elements: dict
settled_at:
  description: Unix time at which the newest rollback or undo on record that switched something ended, 0 without one.
  returned: success
  type: float
unfinished:
  description: C(id), C(kind) and C(state) of the newest run if it stopped half way, empty if it did not.
  returned: success
  type: dict
holder:
  description: Who holds the lease, empty if nobody does.
  returned: success
  type: str
dumps:
  description: Plain dumps in O(backup_dir), newest first by name, with C(path) and C(bytes).
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.impact_state import look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backup_dir": {"type": "path", "default": "/backups/database"},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module.params["state_dir"], module.params["backup_dir"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
