#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: impact_info
short_description: Tell in numbers how one host stands during an incident
description:
  - Reads memory, services, logs, the live release, queued jobs, WhatsApp sessions and the database, as far as the host
    has them, in one call.
  - Whatever cannot be read is named in RV(problems) and hides nothing else. Reads only, a bounded part of each log, and
    asks nothing that could take long without a limit.
  - Tells numbers and names, never the text of a log, a statement or a value of a row that no declared query selects.
version_added: 0.1.0
options:
  window_s:
    description: How many seconds back logs are read.
    type: int
    default: 600
  since:
    description: Unix time before which nothing counts, such as that of the last rollback, even if it is in the window.
    type: float
    default: 0
  most_bytes:
    description: Most bytes that are read from the end of one log.
    type: int
    default: 8388608
  access_log:
    description: Access log of nginx, empty where there is none. Its format may have times, and may be JSON.
    type: str
    default: ""
  ignored_paths:
    description: Regular expressions of paths that do not count as traffic, such as health checks.
    type: list
    elements: str
    default: []
  logs:
    description: Paths of Laravel's logs, as its channels C(single) and C(daily) are configured with them.
    type: list
    elements: str
    default: []
  log_zone:
    description: Time zone of the application, in which its log is written.
    type: str
    default: UTC
  log_patterns:
    description: Name to regular expression; the first line of each error that matches is counted.
    type: dict
    default: {}
  serving:
    description: systemd units without which no request is answered.
    type: list
    elements: str
    default: []
  working:
    description: systemd units that work in the background.
    type: list
    elements: str
    default: []
  memory_exit:
    description: Exit status of a worker that ends because it grew too large; Laravel's is V(12).
    type: int
    default: 12
  processes:
    description: Beginnings of names of processes whose number and memory are told.
    type: list
    elements: str
    default: []
  code:
    description: Where the application lies on this host; left out where it does not.
    type: dict
    suboptions:
      path:
        description: Root of the application on this host.
        type: path
        required: true
      layout:
        description: How releases lie below it, as in M(campaign.rollback.release_info).
        type: str
        default: releases
      repository:
        description: Git repository on this host.
        type: path
        required: true
      build_path:
        description: Front-end build inside a release.
        type: str
        default: public/build
      builds:
        description: Directory of builds that are kept by commit. Empty where no build is served.
        type: str
        default: ""
      commit:
        description: Commit that a rollback would want. Empty without one.
        type: str
        default: ""
      build_digest:
        description: Digest of the build that a rollback would want, which is a right one under any commit.
        type: str
        default: ""
  queue:
    description: Laravel's queues on the Redis server of this host; left out where there are none.
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
  sessions:
    description: The WhatsApp service of this host; left out where there is none.
    type: dict
    suboptions:
      api:
        description: Endpoints of the service, as in M(campaign.rollback.session_info).
        type: dict
        required: true
        suboptions:
          status_url:
            description: Address that says how an account stands. Asked with GET.
            type: str
            required: true
          status_path:
            description: "Dotted path to the account's state in its JSON answer. Example: V(sessions.{account})."
            type: str
            required: true
          restart_url:
            description: Address that starts an account again. Without it the process is restarted.
            type: str
            default: ""
          restart_method:
            description: Method of that request.
            type: str
            default: POST
          restart_body:
            description: JSON object that is sent with it.
            type: dict
            default: {}
          connected:
            description: Words for an account that works.
            type: list
            elements: str
            required: true
          logged_out:
            description: Words for an account that its phone has unlinked.
            type: list
            elements: str
            default: []
          broken:
            description:
              - Words for an account whose session the service itself calls unusable.
              - Any word that is in none of these lists is no statement about the session.
            type: list
            elements: str
            default: []
          header:
            description: "Header that carries the token. Example: V(x-api-key: {token})."
            type: str
            default: "Authorization: Bearer {token}"
          token_file:
            description: File on the host with the token; without it none is sent.
            type: path
            default: ""
          token_key:
            description:
              - Key of the token in O(sessions.api.token_file), an environment file; without it the file is the token.
            type: str
            default: ""
      timeout_s:
        description: Seconds after which a request counts as unanswered.
        type: float
        default: 5
      accounts:
        description: Accounts that have to be there.
        type: list
        elements: str
        required: true
  database:
    description: The schema of this host; left out where there is none.
    type: dict
    suboptions:
      schema:
        description: Live schema.
        type: str
        required: true
      queries:
        description: What is asked of it, each with a C(name) and a list C(sql) of which the first that fits counts.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name in reports.
            type: str
            required: true
          sql:
            description: A SELECT, and others for releases that know fewer columns.
            type: list
            elements: str
            required: true
      orphans:
        description: Relations that no constraint declares, as in M(campaign.rollback.database_integrity).
        type: list
        elements: dict
        default: []
      assertions:
        description: Queries and what they must answer, as in M(campaign.rollback.database_integrity).
        type: list
        elements: dict
        default: []
      policies:
        description: Policies of tables, as in M(campaign.rollback.database_compare).
        type: list
        elements: dict
        default: []
      starts:
        description: Tables of the restore point, each with the first id that was new then, or null.
        type: dict
        default: {}
      standbys:
        description: What M(campaign.rollback.state_info) returned under this name.
        type: list
        elements: dict
        default: []
      points:
        description: Restore points with the C(id) and C(files) whose presence is looked at.
        type: list
        elements: dict
        default: []
      seconds:
        description: Longest time for the checks of orphans and assertions.
        type: int
        default: 15
      statement_s:
        description: Longest time of one query.
        type: int
        default: 5
      defaults_file:
        description: Client option file; without it the module connects as root through the socket.
        type: path
      login_unix_socket:
        description: Socket of the server.
        type: path
        default: /run/mysqld/mysqld.sock
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
    description: Linux with systemd.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See how a web host stands
  campaign.rollback.impact_info:
    access_log: /var/log/nginx/access.log
    ignored_paths: [^/api/health]
    logs: [/srv/campaign/shared/storage/logs/laravel.log]
    log_patterns: {campaigns: HybridCampaign}
    serving: [nginx.service, php8.2-fpm.service]
"""

RETURN = r"""
since:
  description: Unix time from which on logs were read.
  returned: success
  type: float
problems:
  description: Parts that could not be read, with the reason.
  returned: success
  type: dict
  sample: {"queue": "Redis does not answer."}
memory:
  description: C(total_bytes), C(available_bytes), C(used_share), and whose C(limit) it is.
  returned: success
  type: dict
processes:
  description: As in RV(campaign.rollback.validation_host#module:processes).
  returned: success
  type: dict
services:
  description: Units that are not active (C(serving), C(working)) and C(memory_exits), null without a journal.
  returned: where units are declared
  type: dict
traffic:
  description:
    - C(requests), C(errors), C(error_share), C(average_s), C(p95_s); those that a gate C(held_back) and those that the
      client has C(given_up) are not among them. Whether the window was read completely (C(complete)).
  returned: where there is an access log
  type: dict
log:
  description: C(errors), how many are C(matching) each pattern, the commonest exception C(classes), C(complete).
  returned: where there is a log
  type: dict
code:
  description:
    - Live C(commit), C(version), C(name) and C(build_digest), what is wrong with the build (C(build_problem)), the last
      commits (C(recent)), C(changed_files) of a working tree, whether the wanted commit is here (C(target)).
  returned: where the application is
  type: dict
queue:
  description: Jobs C(queued), C(reserved), C(delayed), and those that a rollback has C(set_aside).
  returned: where there is a queue
  type: dict
sessions:
  description: State of each account.
  returned: where there is a WhatsApp service
  type: dict
database:
  description:
    - C(figures) of the declared queries, C(rows_at_risk) by table, C(damage), C(migrations), the C(standby), the
      C(attics), C(bytes), C(free_bytes), C(threads_connected).
  returned: where there is a schema
  type: dict
backups:
  description: The C(bytes) of each restore point's backup by its id, and what is wrong with its files (C(problem)).
  returned: where there is a schema
  type: dict
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import impact_database, impact_host, processes
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.session_options import API_OPTIONS, api_of

#: Longest time of one command.
COMMAND_S = 10


def listed(elements="str"):
    """A list that is empty unless given."""
    return {"type": "list", "elements": elements, "default": []}


def text(default=""):
    """A text that may be left out."""
    return {"type": "str", "default": default}


QUERY = {"name": {"type": "str", "required": True}, "sql": {"type": "list", "elements": "str", "required": True}}
CODE = {
    "path": {"type": "path", "required": True},
    "layout": text("releases"),
    "repository": {"type": "path", "required": True},
    "build_path": text("public/build"),
    "builds": text(),
    "commit": text(),
    "build_digest": text(),
}
DATABASE = {
    "schema": {"type": "str", "required": True},
    "queries": {**listed("dict"), "options": QUERY},
    "orphans": listed("dict"),
    "assertions": listed("dict"),
    "policies": listed("dict"),
    "starts": {"type": "dict", "default": {}},
    "standbys": listed("dict"),
    "points": listed("dict"),
    "seconds": {"type": "int", "default": 15},
    "statement_s": {"type": "int", "default": 5},
    "defaults_file": {"type": "path"},
    "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
}
OPTIONS = {
    "window_s": {"type": "int", "default": 600},
    "since": {"type": "float", "default": 0},
    "most_bytes": {"type": "int", "default": 8388608},
    "access_log": text(),
    "ignored_paths": listed(),
    "logs": listed(),
    "log_zone": text("UTC"),
    "log_patterns": {"type": "dict", "default": {}},
    "serving": listed(),
    "working": listed(),
    "memory_exit": {"type": "int", "default": 12},
    "processes": listed(),
    "code": {"type": "dict", "options": CODE},
    "queue": {
        "type": "dict",
        "options": {
            "database": {"type": "int", "default": 0},
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
        },
    },
    "sessions": {
        "type": "dict",
        "options": {
            **API_OPTIONS,
            "accounts": {"type": "list", "elements": "str", "required": True},
        },
    },
    "database": {"type": "dict", "options": DATABASE},
}


def look_at_database(given):
    """The schema; a server that cannot be reached is a problem of this part alone."""
    with Database(
        given["defaults_file"], given["login_unix_socket"], read_only=True, statement_s=given["statement_s"]
    ) as db:
        return impact_database.look(db, given)


def parts(given, run, since):
    """Name to function for everything that this host is asked for."""
    found = {"memory": impact_host.memory, "processes": lambda: processes.read(given["processes"])}
    if given["serving"] or given["working"]:
        found["services"] = lambda: impact_host.services(
            run, given["serving"], given["working"], since, given["memory_exit"]
        )
    if given["access_log"]:
        found["traffic"] = lambda: impact_host.access_log(
            given["access_log"], since, given["most_bytes"], given["ignored_paths"]
        )
    if given["logs"]:
        found["log"] = lambda: impact_host.error_logs(
            given["logs"], given["log_zone"], since, given["most_bytes"], given["log_patterns"]
        )
    if given["code"]:
        found["code"] = lambda: impact_host.code(run, given["code"])
    if given["queue"]:
        found["queue"] = lambda: impact_host.jobs(run, given["queue"]["database"], given["queue"]["keys"])
    if given["sessions"]:
        found["sessions"] = lambda: impact_host.session_states(
            api_of(given["sessions"]), given["sessions"]["accounts"], given["sessions"]["timeout_s"]
        )
    if given["database"]:
        found["database"] = lambda: look_at_database(given["database"])
        found["backups"] = lambda: impact_database.backups(given["database"]["points"])
    return found


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    given = module.params

    def run(argv):
        # A server that hangs must not keep the rest from being told.
        return module.run_command(["timeout", str(COMMAND_S), *argv])

    since = max(given["since"], time.time() - given["window_s"])
    found, problems = {}, {}
    for name, look in parts(given, run, since).items():
        try:
            found[name] = look()
        except (RollbackError, OSError, re.error) as error:
            problems[name] = str(error)
    module.exit_json(changed=False, since=since, problems=problems, **found)


if __name__ == "__main__":
    main()
