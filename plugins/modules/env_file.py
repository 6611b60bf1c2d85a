#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file
short_description: Capture, restore and put back an environment file
description:
  - Restores the content of an environment file such as C(.env) from a copy on the same host, with one rename.
  - Owner and mode of the live file stay. The replaced content is kept with the run, and O(state=reverted) puts it back.
  - With O(keys) only these are taken from the copy; every other line of the live file stays exactly as it is.
  - Only key names are shown, never values.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: The live file.
    type: path
    required: true
  copy:
    description: The copy to restore from, or to make with O(state=captured).
    type: path
  digest:
    description: SHA-256 that the copy must have; checked before anything is touched.
    type: str
    default: ""
  keys:
    description: Keys to take from O(copy); all lines of the file without any.
    type: list
    elements: str
    default: []
  later:
    description:
      - Pattern of all captured copies of this file, whose newest by name tells what changed since.
      - A key that differs there from both the live file and O(copy) changed on both sides, and is reported.
    type: str
    default: ""
  units:
    description: systemd units that may hold what is replaced in the environment they were started with.
    type: list
    elements: str
    default: []
  readers:
    description: Those of them that read the file when they start and never again.
    type: list
    elements: str
    default: []
  pm2:
    description: Process under pm2 that reads the file only when it starts, with C(name), C(user) and C(home).
    type: dict
  dest:
    description: Where O(state=merged) writes to.
    type: path
  state:
    description:
      - V(captured) copies the live file to O(copy), mode 0600.
      - V(restored) replaces the live file by O(copy), or takes O(keys) from it.
      - V(merged) writes what V(restored) would make of the live file to O(dest), mode 0600.
      - V(reverted) puts back what O(reverts) replaced.
    type: str
    choices: [captured, restored, merged, reverted]
    default: restored
attributes:
  check_mode:
    description: Checks the copy and compares, without writing.
    support: full
  diff_mode:
    description: Shows key names and whether their value differs, never the value.
    support: full
  idempotent:
    description: A file that already has the wanted content is left alone.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Restore the environment that the restored release was validated with
  campaign.rollback.env_file:
    path: /srv/campaign/shared/.env
    copy: /var/lib/rollback/restore_points/20261114T101500Z/env/srv__campaign__shared__.env
    run_id: 20261121T174500Z

- name: Restore two keys and leave everything else as it is
  campaign.rollback.env_file:
    path: /srv/campaign/shared/.env
    copy: /var/lib/rollback/restore_points/20261114T101500Z/env/srv__campaign__shared__.env
    keys: [WHATSAPP_SERVICE_URL, WHATSAPP_SERVICE_TOKEN]
    run_id: 20261121T174500Z
"""

RETURN = r"""
summary:
  description: SHA-256 and key names of the live file afterwards, as a manifest holds them.
  returned: success
  type: dict
  sample: {digest: 9f86d08..., keys: [APP_ENV, DB_HOST]}
difference:
  description: Key names that were added, removed and changed.
  returned: success
  type: dict
  sample: {added: [], removed: [HYBRID_CAMPAIGNS_ENABLED], changed: [APP_DEBUG]}
held:
  description:
    - Processes that hold what was or would be replaced on behalf of the run. Values are compared by digest.
    - C(process), C(pid), C(keys) and C(why) of each.
  returned: success
  type: list
  elements: dict
  sample: [{process: worker.service, pid: 812, keys: [SERVICE_TOKEN], why: was started with SERVICE_TOKEN}]
conflicts:
  description: Key names that changed on both sides since the newest copy, C(taken) from O(copy) or C(kept) as live.
  returned: success
  type: dict
  sample: {taken: [WHATSAPP_SERVICE_TOKEN], kept: [MAIL_PASSWORD]}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import (
    environment,
    environment_merge,
    held_environment,
    units,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    make_private_directory,
    sha256_file,
    write_atomically,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2


def capture(params, check_mode):
    """Copy the live file."""
    live = environment.read(params["path"])
    copy = params["copy"]
    changed = not os.path.exists(copy) or sha256_file(copy) != sha256_file(params["path"])
    if changed and not check_mode:
        with Journal.of_module(params).acting():
            environment.keep(params["path"], copy)
    return changed, live, live


def wanted_text(params, live):
    """What the live file is to be: the copy, or the live text with the declared keys of the copy."""
    copy = environment.read(params["copy"])
    if params["digest"] and environment.text_digest(copy) != params["digest"]:
        raise RollbackError("The copy of an environment file is not the one that was captured", where=params["copy"])
    return environment_merge.merge(live, copy, params["keys"], params["path"]) if params["keys"] else copy


def restore(params, check_mode):
    """Replace the live file by the copy, or the declared keys in it."""
    live = environment.read(params["path"])
    wanted = wanted_text(params, live)
    if live != wanted and not check_mode:
        journal = Journal.of_module(params)
        with journal.acting():
            environment.restore(journal, params["path"], wanted)
    return live != wanted, live, wanted


def merge(params, check_mode):
    """Write beside the live file what restoring would make of it."""
    live = environment.read(params["path"])
    wanted = wanted_text(params, live)
    dest = params["dest"]
    changed = not os.path.exists(dest) or sha256_file(dest) != environment.text_digest(wanted)
    if changed and not check_mode:
        with Journal.of_module(params).acting():
            make_private_directory(os.path.dirname(dest))
            write_atomically(dest, environment.encoded(wanted))
    return changed, live, wanted


def revert(params, check_mode):
    """Put the replaced content back."""
    journal, by = Journal.to_revert(params), Journal.of_module(params)
    live = environment.read(params["path"])
    steps = journal.to_undo(environment.COMPONENT, params["path"])
    wanted = environment.read(steps[-1].undo["source"]) if steps else live
    if steps and not check_mode:
        with by.acting():
            environment.revert(journal, by, params["path"])
    return live != wanted, live, wanted


def found_conflicts(params, live):
    """Key names that changed on both sides, by what becomes of them."""
    if params["state"] not in ("restored", "merged") or not params["keys"]:
        return {"taken": [], "kept": []}
    copy = environment.read(params["copy"])
    found = environment_merge.conflicts(environment_merge.base_of(params["later"], copy), live, copy)
    return {
        "taken": [key for key in found if key in params["keys"]],
        "kept": [key for key in found if key not in params["keys"]],
    }


def running(module):
    """The declared processes of this host, as systemd and pm2 know them."""

    def run(argv):
        return module.run_command(argv, cwd="/")

    names, process = module.params["units"], module.params["pm2"]
    found = []
    if names:
        for name, unit in units.parse(run(units.argv(names))[1], names).items():
            found.append(held_environment.Running(name, unit["pid"], name in module.params["readers"]))
    if process:
        known = Pm2(run, process["user"], process["home"]).find(process["name"])
        found.append(held_environment.Running(process["name"], known.pid if known else 0, True))
    return found


def found_held(module, before, after):
    """Processes that hold what the run replaced in this file, or will have replaced."""
    params = module.params
    steps = Journal.to_revert(params).to_undo(environment.COMPONENT, params["path"])
    olds = [environment.read(step.undo["source"]) for step in steps if os.path.exists(step.undo["source"])]
    if before != after:
        olds.append(before)
    if not olds:
        return []
    # Before the change nobody is too old.
    changed_at = os.stat(params["path"]).st_mtime if steps else None
    return held_environment.held(running(module), olds, after, changed_at)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "copy": {"type": "path"},
            "digest": {"type": "str", "default": ""},
            "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "later": {"type": "str", "default": ""},
            "dest": {"type": "path"},
            "units": {"type": "list", "elements": "str", "default": []},
            "readers": {"type": "list", "elements": "str", "default": []},
            "pm2": {"type": "dict"},
            **UNDO_OPTIONS,
            "state": {"type": "str", "choices": ["captured", "restored", "merged", "reverted"], "default": "restored"},
        },
        required_if=[
            ("state", "captured", ["copy"]),
            ("state", "restored", ["copy"]),
            ("state", "merged", ["copy", "dest"]),
        ],
        supports_check_mode=True,
    )
    action = {"captured": capture, "restored": restore, "merged": merge, "reverted": revert}[module.params["state"]]
    try:
        changed, before, after = action(module.params, module.check_mode)
        conflicts = found_conflicts(module.params, before)
        held = found_held(module, before, after)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    masked_before, masked_after = environment.masked(before, after)
    module.exit_json(
        changed=changed,
        summary={"digest": environment.text_digest(after), "keys": sorted(environment.parse(after))},
        difference=environment.difference(before, after),
        conflicts=conflicts,
        held=held,
        diff={"before": masked_before, "after": masked_after},
    )


if __name__ == "__main__":
    main()
