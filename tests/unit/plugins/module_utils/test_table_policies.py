"""Which policy a table has, and what the inventory may say about it."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import DEFAULTS, MEANINGS, Policies


@pytest.mark.parametrize(
    ("table", "policy", "last"),
    [
        ("campaigns", "merge", False),
        ("anything_else", "merge", False),
        ("jobs", "merge", True),
        ("failed_jobs", "merge", False),
        ("job_batches", "merge", False),
        ("migrations", "keep", False),
        ("sessions", "keep", False),
        ("password_reset_tokens", "keep", False),
        ("personal_access_tokens", "merge", False),
        ("oauth_access_tokens", "merge", False),
        ("oauth", "merge", False),
        ("cache", "ignore", False),
        ("cache_locks", "ignore", False),
        ("telescope_entries", "ignore", False),
    ],
)
def test_defaults_fit_a_laravel_application(table, policy, last):
    found = Policies().of_table(table)
    assert (found.policy, found.last) == (policy, last)
    assert found.reason


def test_every_default_has_a_known_policy_and_a_reason():
    assert {policy.policy for policy in DEFAULTS} <= set(MEANINGS)
    assert all(len(policy.reason) > 10 for policy in DEFAULTS)
    # The last one is what everything else is.
    assert (DEFAULTS[-1].table, DEFAULTS[-1].policy) == ("*", "merge")


def test_the_inventory_comes_first_and_in_its_order():
    policies = Policies.of(
        [
            {"table": "telescope_tags", "policy": "report"},
            {"table": "telescope_*", "policy": "keep", "reason": "we look at it", "last": True},
            {"table": "app_job[s]", "policy": "merge", "reason": None, "last": None},
        ]
    )
    assert policies.of_table("telescope_tags").policy == "report"
    found = policies.of_table("telescope_entries")
    assert (found.policy, found.reason, found.last) == ("keep", "we look at it", True)
    assert policies.of_table("app_jobs").reason == "said in the inventory"
    assert policies.of_table("cache").policy == "ignore"
    assert policies.unused(["telescope_entries", "app_jobs"]) == ["telescope_tags"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sessions: keep", "are a list.*str"),
        ({"table": "sessions"}, "are a list"),
        (["sessions"], r"has a table and a policy.*str.*database_table_policies\[0\]"),
        ([{"table": "a", "policy": "keep"}, {"policy": "keep"}], r"names a table.*policies\[1\]"),
        ([{"table": " ", "policy": "keep"}], "names a table"),
        ([{"table": 7, "policy": "keep"}], "names a table"),
        ([{"table": "a"}], "one of merge, report, keep, ignore.*None for a"),
        ([{"table": "a", "policy": "Keep"}], "'Keep' for a"),
        ([{"table": "a", "policy": "keep", "tabel": "b"}], "nothing reads.*tabel"),
        ([{"table": "a", "policy": "keep", "last": "yes"}], "last is true or false"),
        ([{"table": "a", "policy": "keep"}, {"table": "a", "policy": "merge"}], "two policies.*a"),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(given, message):
    with pytest.raises(RollbackError, match=message):
        Policies.of(given)
