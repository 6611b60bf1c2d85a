#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: trigger_sample
short_description: Measure on one host what the triggers of a rollback are about
description:
  - Reads the ends of logs, memory, services, the database, or asks from this host what users ask, and returns numbers.
    M(campaign.rollback.trigger_check) judges them.
  - Of a log only the window that the rules look back to is read, from its end, whatever its size.
  - A source that cannot be read is told in the result and hides no other.
version_added: 0.1.0
options:
  sources:
    description:
      - By name the sources of this host with their settings. Those that no rule asks for are left alone.
      - C(access_log) of nginx has C(path), and lists of regular expressions, C(ignored_paths), C(ignored_agents) and
        C(held_paths) (where a 503 is wanted).
      - C(laravel_log) has C(paths) as the channels C(single) and C(daily) are configured with them, C(zone)
        (C(app.timezone)) and C(patterns), names to regular expressions.
      - C(probes) has C(urls) (name to address), C(checks) as in M(campaign.rollback.validation_http), of which only
        those are sent that change nothing, C(vantage) (name of the place from which is asked) and C(timeout_s).
      - C(memory) has C(groups), control groups below C(/sys/fs/cgroup) that are judged by their own limit.
      - C(services) has systemd C(units), and C(pm2) with C(user), C(home) and C(name).
      - C(database) has C(schema), C(assertions) and C(orphans) as in M(campaign.rollback.database_integrity), C(log_s)
        (how far back the error log counts, never to before a run changed something here, as the journals in
        C(state_dir) say), C(log_unit), C(seconds), C(statement_s), C(defaults_file) and
        C(login_unix_socket).
      - C(prometheus) has C(url) and C(timeout_s).
    type: dict
    required: true
  secret_headers:
    description: Headers for the checks with C(token).
    type: dict
    default: {}
  prometheus_headers:
    description: Headers for Prometheus, such as C(Authorization).
    type: dict
    default: {}
  rules:
    description: The inventory's rules, see M(campaign.rollback.trigger_check).
    type: list
    elements: dict
    default: []
  host:
    description: Name of this host in the result.
    type: str
    required: true
extends_documentation_fragment:
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Measure a web host
  campaign.rollback.trigger_sample:
    host: "{{ inventory_hostname }}"
    sources:
      access_log: {path: /var/log/nginx/access.log, ignored_paths: [^/api/health]}
      laravel_log: {paths: [/srv/campaign/shared/storage/logs/laravel.log], zone: Europe/Berlin}
      memory: {}
"""

RETURN = r"""
series:
  description: What was measured, for M(campaign.rollback.trigger_check).
  returned: success
  type: list
  elements: dict
  sample: [{source: memory, measure: used_share, host: web1, rows: [[0, 0, 1, 0, 0, 0.42]]}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_rules, trigger_series, trigger_sources
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Longest time of one command.
COMMAND_S = 10


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sources": {"type": "dict", "required": True},
            "secret_headers": {"type": "dict", "default": {}, "no_log": True},
            "prometheus_headers": {"type": "dict", "default": {}, "no_log": True},
            "rules": {"type": "list", "elements": "dict", "default": []},
            "host": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params

    def run(argv):
        # A server that hangs must not keep the rest from being told.
        return module.run_command(["timeout", str(COMMAND_S), *argv])

    try:
        rules = trigger_rules.parse(given["rules"])
        secrets = {"probes": given["secret_headers"], "prometheus": given["prometheus_headers"]}
        found = trigger_sources.sample(given["sources"], rules, given["host"], run, secrets)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, series=trigger_series.as_data(found))


if __name__ == "__main__":
    main()
