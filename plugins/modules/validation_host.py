#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_host
short_description: Make the declared checks of one host at the same time and return a verdict for each
description:
  - Processes, room, logs since a moment, queues, times of requests and queries; each only where it is asked for.
  - Compares with what was measured at a restore point (O(baseline)), and measures the same anew.
  - It never fails because a check failed; the caller decides. Texts of logs, jobs and answers are not returned.
version_added: 0.1.0
options:
  processes:
    description: Beginnings of command names that must run, such as V(nginx) and V(php-fpm).
    type: list
    elements: str
    default: []
  limits:
    description:
      - Largest C(memory_share) and C(disk_share) of 1, C(load) per processor over five minutes, and number of answers
        of status 5xx (C(new_5xx)) and of logged errors (C(new_errors)).
    type: dict
    default: {}
  disks:
    description: Paths whose disks are looked at.
    type: list
    elements: str
    default: [/]
  since:
    description: Unix time from which on logs count.
    type: float
    required: true
  measure_since:
    description: Unix time from which on the times of requests are measured, O(since) unless given.
    type: float
  access_log:
    description: Access log of nginx, empty where there is none. Its format may have times, and may be JSON.
    type: str
    default: ""
  logs:
    description: Paths of Laravel's logs, as its channels C(single) and C(daily) are configured with them.
    type: list
    elements: str
    default: []
  log_zone:
    description: Time zone of the application, in which its log is written.
    type: str
    default: UTC
  ignored_paths:
    description: Regular expressions of paths that do not count as requests.
    type: list
    elements: str
    default: []
  held:
    description: Regular expression of paths that are held back, on which a 503 is wanted; empty matches none.
    type: str
    default: ""
  expected_errors:
    description: Regular expressions; errors of the log whose first line matches do not count.
    type: list
    elements: str
    default: []
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
      wait_s:
        description: Seconds within which the oldest job has to be taken.
        type: float
        default: 30
  queries:
    description: Statements whose time is measured, each with a C(name) and a SELECT (C(sql)). They run read-only.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in reports.
        type: str
        required: true
      sql:
        description: The statement; tables without a schema mean O(schema).
        type: str
        required: true
  schema:
    description: Live schema. The connections of its server are counted.
    type: str
    default: ""
  samples:
    description: How often each query is run.
    type: int
    default: 20
  baseline:
    description: What RV(measured) was at a restore point. Without it nothing is compared.
    type: dict
    default: {}
  tolerance:
    description:
      - How much more than the baseline is allowed, as a C(factor), and at least C(floor_s) seconds. Fewer C(samples)
        are not compared, and p95 only from five times as many on.
    type: dict
    default: {}
  statement_s:
    description: Longest time of one query in seconds.
    type: int
    default: 10
  defaults_file:
    description: Client option file; without it the module connects as root through the socket.
    type: path
  login_unix_socket:
    description: Socket of the database server.
    type: path
    default: /run/mysqld/mysqld.sock
extends_documentation_fragment:
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Check a web host since the switch
  campaign.rollback.validation_host:
    processes: [nginx, php-fpm]
    since: 1794924245
    access_log: /var/log/nginx/access.log
    logs: [/srv/campaign/shared/storage/logs/laravel.log]
    baseline: "{{ manifest.baseline.hosts.web1 }}"
"""

RETURN = r"""
checks:
  description:
    - C(name), C(verdict) (C(passed), C(failed) or C(not checked)), C(passed), C(detail), C(evidence), and the command
      with which to C(look) further, of each.
  returned: success
  type: list
  elements: dict
checks_failed:
  description: How many have failed; what could not be told has not.
  returned: success
  type: int
measured:
  description:
    - C(routes) and C(queries), each with p50 and p95 in seconds and the number of samples, and C(resources) as numbers.
      What this host does not have is left out.
  returned: success
  type: dict
  sample:
    routes: {/api/campaigns: {p50: 0.021, p95: 0.05, samples: 640}}
    resources: {"memory of nginx in bytes": 9437184}
processes:
  description: For each name the number of processes, resident bytes, processor seconds and process ids.
  returned: success
  type: dict
  sample: {nginx: {count: 3, rss_bytes: 9437184, cpu_s: 1.2, pids: [120, 121, 122]}}
"""

import concurrent.futures
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import (
    baselines,
    host_checks,
    host_logs,
    http_checks,
    queue_motion,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEFAULT_SOCKET,
    Database,
    quote,
    threads_connected,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.processes import read
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import failing

#: Longest time of one command in seconds.
COMMAND_S = 10


def listed(default=None):
    """A list of texts that may be left out."""
    return {"type": "list", "elements": "str", "default": default or []}


OPTIONS = {
    "processes": listed(),
    "limits": {"type": "dict", "default": {}},
    "disks": listed(["/"]),
    "since": {"type": "float", "required": True},
    "measure_since": {"type": "float"},
    "access_log": {"type": "str", "default": ""},
    "logs": listed(),
    "log_zone": {"type": "str", "default": "UTC"},
    "ignored_paths": listed(),
    "held": {"type": "str", "default": ""},
    "expected_errors": listed(),
    "queue": {
        "type": "dict",
        "options": {
            "database": {"type": "int", "default": 0},
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "wait_s": {"type": "float", "default": 30},
        },
    },
    "queries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "sql": {"type": "str", "required": True}},
    },
    "schema": {"type": "str", "default": ""},
    "samples": {"type": "int", "default": 20},
    "baseline": {"type": "dict", "default": {}},
    "tolerance": {"type": "dict", "default": {}},
    "statement_s": {"type": "int", "default": 10},
    "defaults_file": {"type": "path"},
    "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
}


class Host:
    """One host: its declared checks, and what they measured on the way."""

    def __init__(self, given, run):
        """``given`` are the options; ``run`` runs a command."""
        self.given = given
        self.run = run
        self.limits = host_checks.Limits.parse(given["limits"])
        self.tolerance = baselines.Tolerance.parse(given["tolerance"])
        measured = given["measure_since"]
        self.logs = host_logs.Logs(
            given["since"],
            given["since"] if measured is None else measured,
            given["access_log"],
            given["logs"],
            given["log_zone"],
            given["ignored_paths"],
            given["held"],
            given["expected_errors"],
        )
        self.processes = read(given["processes"])
        self.measured = {}
        self.resources = {f"memory of {name} in bytes": one["rss_bytes"] for name, one in self.processes.items()}

    def parts(self):
        """Name to function for everything that this host is asked for."""
        given = self.given
        found = {
            "processes": lambda: host_checks.processes(self.processes),
            "room": lambda: host_checks.room(self.limits, given["disks"]),
        }
        if given["access_log"]:
            found["access log"] = self.requests
        if given["logs"]:
            found["application log"] = lambda: [host_logs.errors(self.logs, self.limits.new_errors)]
        if given["queue"]:
            queue = given["queue"]
            found["queue"] = lambda: [queue_motion.check(self.run, queue["database"], queue["keys"], queue["wait_s"])]
        if given["schema"]:
            found["queries"] = self.queries
        return found

    def requests(self):
        """The access log: answers, and times of routes."""
        found = host_logs.requests(self.logs)
        self.measured["routes"] = found.routes()
        look = f"tail -n 100 {self.logs.access}"
        return [found.check(self.limits.new_5xx), *self.times("routes", "time of", look)]

    def queries(self):
        """The database: times of declared queries, one after the other, so that none waits for another."""
        given, found = self.given, {}
        with Database(
            given["defaults_file"], given["login_unix_socket"], read_only=True, statement_s=given["statement_s"]
        ) as db:
            self.resources["open connections"] = threads_connected(db)
            db.run(f"USE {quote(given['schema'])}")
            for query in given["queries"]:
                seconds = []
                for _sample in range(given["samples"]):
                    began = time.perf_counter()
                    db.rows(query["sql"])
                    seconds.append(time.perf_counter() - began)
                found[query["name"]] = http_checks.summary(seconds)
        self.measured["queries"] = found
        return self.times("queries", "time of query", f"mysql -e 'SHOW FULL PROCESSLIST' {given['schema']}")

    def times(self, kind, what, look):
        """Comparison of what was measured of this kind."""
        then = self.given["baseline"].get(kind) or {}
        return baselines.compare_times(self.measured[kind], then, self.tolerance, what, look)

    def compare_resources(self):
        """Comparison of what the host uses, as soon as all of it is known."""
        self.measured["resources"] = self.resources
        then = self.given["baseline"].get("resources") or {}
        return baselines.compare_resources(self.resources, then, self.tolerance, "ps aux --sort=-rss | head")


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)

    def run(argv):
        # A server that hangs must not keep the rest from being told.
        return module.run_command(["timeout", str(COMMAND_S), *argv])

    try:
        host = Host(module.params, run)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        checks = host_checks.make_all(host.parts(), pool.map)
    checks += host.compare_resources()
    module.exit_json(
        changed=False,
        checks=checks,
        checks_failed=failing(checks),
        measured=host.measured,
        processes=host.processes,
    )


if __name__ == "__main__":
    main()
