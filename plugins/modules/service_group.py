#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_group
short_description: Hold, switch and resume all services of a host
description:
  - Does for all services of one host at once what a phase of a rollback asks of them, because users wait for some of
    it.
  - O(state=held) stops what changes data by itself. systemd waits until a worker has finished its job.
  - O(state=switched) sets queued jobs aside, empties the application's own cache, reloads the servers and starts the
    pm2 process afresh on what is live.
  - O(state=reverted) does the same after an undo, and puts the queued jobs back.
  - O(state=resumed) starts what was held, and lets queue workers that systemd does not know end after their job.
  - The lists are in the order of dependency. What comes first is needed by what follows, so it is taken over and
    started first, and stopped last.
  - What systemctl answers proves little. A reload is over when no old worker of PHP-FPM is left and its program was
    loaded anew, with an empty opcode cache, or when any other server has new workers. A writer is another process than
    the one that was held, in the directory of the live release.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  writers:
    description: systemd units that change data by themselves, such as queue workers and the scheduler's timer.
    type: list
    elements: str
    default: []
  reload:
    description: systemd units that are reloaded, in this order.
    type: list
    elements: str
    default: []
  restart:
    description: systemd units that are restarted first, in this order.
    type: list
    elements: str
    default: []
  path:
    description: Link to the live release, which writers have to run.
    type: path
    default: /srv/campaign/current
  proof_s:
    description: Longest wait for the proof of one service, in seconds; longer than a request or a job may take.
    type: float
    default: 30
  workers:
    description:
      - Queue workers under another supervisor than systemd. They cannot be held.
      - With O(state=resumed) C(queue:restart) is asked for, and waited until none of those before is left.
    type: dict
    suboptions:
      pattern:
        description: Part of their command line, such as V(artisan queue:work).
        type: str
        required: true
      user:
        description: User who runs artisan.
        type: str
        default: www-data
      php:
        description: PHP interpreter.
        type: str
        default: php
  pm2:
    description:
      - Process under pm2.
      - It is forgotten when held and started from its file, because pm2 keeps what it knows.
    type: dict
    suboptions:
      name:
        description: Process name.
        type: str
        required: true
      user:
        description: User who owns the pm2 daemon.
        type: str
        required: true
      home:
        description: C(PM2_HOME) of that user.
        type: path
        required: true
      ecosystem:
        description: Ecosystem file.
        type: path
        required: true
  queue:
    description: Redis keys of this host's server that hold queued jobs.
    type: dict
    suboptions:
      database:
        description: Number of the Redis database.
        type: int
        default: 0
      keys:
        description: Full names of the keys.
        type: list
        elements: str
        required: true
  cache:
    description:
      - The application's own cache on this host's Redis server.
      - Nothing but the keys of the pattern is deleted.
    type: dict
    suboptions:
      database:
        description: Number of the Redis database.
        type: int
        required: true
      pattern:
        description: Pattern of the keys, such as V(campaign_cache:*).
        type: str
        required: true
  state:
    description: What the services shall do.
    type: str
    choices: [held, switched, reverted, resumed]
    required: true
attributes:
  check_mode:
    description: Asks Redis whether it would do its part, and says that it would act.
    support: full
  diff_mode:
    description: Running processes have no text to compare.
    support: none
  idempotent:
    description: Reloads and pm2 starts happen each time; what is held, set aside, put back or resumed already stays so.
    support: partial
  platform:
    description: Linux with systemd and C(runuser).
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Let the servers take over the restored code
  campaign.rollback.service_group:
    run_id: 20261121T174500Z
    reload: [php8.2-fpm.service, nginx.service]
    state: switched
"""

RETURN = r"""
state:
  description: The state asked for.
  returned: success
  type: str
proofs:
  description: The evidence for each unit that was taken over.
  returned: with O(state=switched) and O(state=reverted), not in check mode
  type: list
  elements: dict
  sample: [{unit: php8.2-fpm.service, pid: 311, new_workers: [4012, 4013], seconds: 0.12}]
started:
  description: New main process of each writer, and of queue workers that systemd does not know.
  returned: with O(state=resumed), not in check mode
  type: dict
  sample: {campaign-worker.service: 4077}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import service_group
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2

PM2 = {
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "ecosystem": {"type": "path", "required": True},
}
QUEUE = {
    "database": {"type": "int", "default": 0},
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
}
WORKERS = {
    "pattern": {"type": "str", "required": True},
    "user": {"type": "str", "default": "www-data"},
    "php": {"type": "str", "default": "php"},
}
CACHE = {"database": {"type": "int", "required": True}, "pattern": {"type": "str", "required": True}}


def empty_cache(module, run):
    """Empty the application's cache; on the way back a cache that stays is no reason to keep users out."""
    cache = module.params["cache"]
    if not cache:
        return
    try:
        service_group.evaluate(run, cache["database"], service_group.DELETE_KEYS, [], [cache["pattern"]])
    except RollbackError as error:
        if module.params["state"] != "reverted":
            raise
        module.warn(f"The cache was not emptied. {error}")


def rehearse(module, run):
    """Ask Redis for nothing, so that what would fail behind the gate fails before it."""
    for part in (module.params["queue"], module.params["cache"]):
        if part:
            service_group.evaluate(run, part["database"], "return 0", [], [])


def resume(module, run, journals, pm2, home):
    """Start what was held; queue workers last, because their mark lies in the cache that was emptied."""
    params = module.params
    seconds, path = params["proof_s"], params["path"]
    started = service_group.resume(run, journals, params["writers"], pm2, home, path, seconds)
    if params["workers"]:
        workers = service_group.Workers(**params["workers"], seconds=seconds)
        started["queue workers"] = service_group.restart_workers(run, workers, path)
    return {"started": started}


def act(module, run):
    """Bring the services to the state asked for; returns the evidence."""
    params = module.params
    by, journal = Journal.of_module(params), Journal.to_revert(params)
    process = params["pm2"] or {"name": "", "user": "", "home": "", "ecosystem": ""}
    pm2 = Pm2(run, process["user"], process["home"]) if params["pm2"] else None
    if params["state"] == "held":
        service_group.hold(run, by, params["writers"], pm2, process["name"])
        return {}
    if params["state"] == "resumed":
        journals = list({known.run_id: known for known in (journal, by)}.values())
        return resume(module, run, journals, pm2, process["home"])
    if params["queue"] and params["state"] == "switched":
        service_group.set_queue_aside(run, by, params["queue"]["database"], params["queue"]["keys"])
    elif params["queue"]:
        service_group.put_queue_back(run, journal, by)
    empty_cache(module, run)
    proofs = service_group.take_over(run, params["restart"], params["reload"], params["proof_s"])
    if pm2 is not None:
        # Forgotten when it was held, so that it starts from the restored file and nothing else.
        pm2.start(process["name"], process["ecosystem"])
    return {"proofs": proofs}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "writers": {"type": "list", "elements": "str", "default": []},
            "reload": {"type": "list", "elements": "str", "default": []},
            "restart": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "proof_s": {"type": "float", "default": 30},
            "workers": {"type": "dict", "options": WORKERS},
            "pm2": {"type": "dict", "options": PM2},
            "queue": {"type": "dict", "options": QUEUE},
            "cache": {"type": "dict", "options": CACHE},
            "state": {"type": "str", "choices": ["held", "switched", "reverted", "resumed"], "required": True},
            **UNDO_OPTIONS,
        },
        supports_check_mode=True,
    )
    result = {}
    try:
        if module.check_mode:
            rehearse(module, lambda argv: module.run_command(argv, cwd="/"))
        else:
            # A directory that every user may enter: the caller's may be closed to the user of pm2.
            with Journal.of_module(module.params).acting():
                result = act(module, lambda argv: module.run_command(argv, cwd="/"))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, state=module.params["state"], **result)


if __name__ == "__main__":
    main()
