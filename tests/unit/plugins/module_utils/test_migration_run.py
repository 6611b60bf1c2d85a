"""artisan's command line as migrations are reversed with it: what is asked, what is believed, what is journaled."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.artisan import without_values
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.migration_run import (
    Artisan,
    batches,
    check_connection,
    mark_undone,
    rehearsal_environment,
    reverse_all,
    reverse_one,
)

A, B = "2025_01_01_000000_a", "2025_01_02_000000_ab"
PATHS = {name: f"/srv/app/database/migrations/{name}.php" for name in (A, B)}
CANARY = "canary-7f3a"

TABLE = f"""+------+---------------------+-------+
| Ran? | Migration           | Batch |
+------+---------------------+-------+
| Yes  | {A} | 7     |
| No   | {B} |       |
+------+---------------------+-------+
"""
COLUMNS = f"""
  Migration name ................................ Batch / Status
  {A} ..................... [7] Ran
  {B} ..................... Pending

"""


class Framework:
    """Stands in for artisan: answers as the framework does, for the migrations in ``ran``."""

    def __init__(self, ran):
        self.ran = dict(ran)
        self.calls = []
        self.answer = None

    def __call__(self, arguments, environment):
        self.calls.append((list(arguments), dict(environment)))
        if self.answer:
            return self.answer
        asked = [argument[len("--path=") :] for argument in arguments if argument.startswith("--path=")]
        names = [path.rsplit("/", 1)[-1][: -len(".php")] for path in asked]
        if "migrate:status" in arguments:
            return 0, "".join(f"  {name} .... [{self.ran[name]}] Ran\n" for name in names if name in self.ran), ""
        said = ""
        for name in list(self.ran):
            if name in names:
                del self.ran[name]
                said += f"Rolling back: {name}\nRolled back:  {name} (12.34ms)\n"
            else:
                said += f"Migration not found: {name}\n"
        return 0, said or "Nothing to rollback.\n", ""


@pytest.fixture
def framework():
    return Framework({A: 1, B: 2})


@pytest.fixture
def artisan(framework):
    return Artisan(framework, "www-data", "php8.2", 60, {"DB_DATABASE": "x"})


def migration(name, batch=None):
    return {"name": name, "path": PATHS[name], "batch": batch}


@pytest.mark.parametrize("said", [TABLE, COLUMNS], ids=["8", "9 and newer"])
def test_batches_are_read_in_either_form(said):
    assert batches(said, [A, B, "2025_01_01_000000_"]) == {A: 7, B: None, "2025_01_01_000000_": None}


def test_a_command_runs_as_the_user_with_a_limit_and_the_environment(artisan, framework):
    artisan("migrate:status", "--realpath")
    assert framework.calls == [
        (
            [
                *("runuser", "-u", "www-data", "--", "timeout", "--kill-after=10", "60"),
                *("php8.2", "artisan", "migrate:status", "--realpath", "--no-interaction"),
            ],
            {"COLUMNS": "20000", "DB_DATABASE": "x"},
        )
    ]


def test_exactly_the_named_ones_are_reversed_whatever_their_batch(artisan, framework, journal):
    seconds = reverse_all(artisan, journal, [migration(A)])
    assert list(seconds) == [A]
    assert framework.ran == {B: 2}
    command = framework.calls[0][0]
    assert [option for option in command if option.startswith("--")][2:] == [
        *("--force", "--realpath", f"--path={PATHS[A]}", "--step=1000000", "--no-interaction")
    ]


def test_a_migration_that_was_passed_over_is_an_error_although_artisan_says_nothing(artisan, framework):
    del framework.ran[A]
    with pytest.raises(RollbackError, match="did not reverse"):
        reverse_one(artisan, migration(A))
    framework.answer = (0, f"Migration not found: {A}\n", "")
    with pytest.raises(RollbackError, match="did not reverse"):
        reverse_one(artisan, migration(A))
    framework.answer = (0, f"Rolled back: {B}\n", "")
    with pytest.raises(RollbackError, match="did not reverse"):
        reverse_one(artisan, migration(A))


def test_each_is_announced_before_it_runs_and_the_rest_does_not_run_after_a_failure(artisan, framework, journal):
    def failing(arguments, environment):
        states = [(step.name, step.state) for step in journal.steps()]
        assert states[-1][1] == "begin"
        if any(PATHS[A] in argument for argument in arguments):
            return 1, "", f"SQLSTATE[42000]: Syntax error: 1091 Can't DROP '{CANARY}' (SQL: alter table {CANARY})"
        return framework(arguments, environment)

    with pytest.raises(RollbackError) as caught:
        reverse_all(Artisan(failing, "u", "php", 1, {}), journal, [migration(B), migration(A)])
    assert CANARY not in str(caught.value)
    assert [(step.name, step.state) for step in journal.steps()] == [
        (f"migration {B}", "done"),
        (f"migration {A}", "failed"),
    ]
    assert journal.steps()[0].result["seconds"] >= 0
    assert CANARY not in journal.text()


def test_a_second_attempt_takes_the_first_one_for_undone(artisan, framework, journal):
    reverse_all(artisan, journal, [migration(B)])
    framework.ran[B] = 2
    reverse_all(artisan, journal, [migration(B), migration(A)])
    assert [(step.name, step.state) for step in journal.steps()] == [
        (f"migration {B}", "undone"),
        (f"migration {B}", "done"),
        (f"migration {A}", "done"),
    ]


def test_an_undo_and_its_undo_are_noted(artisan, journal, state_dir):
    reverse_all(artisan, journal, [migration(B), migration(A)])
    undo, redo = Journal("20261121T180001Z", state_dir), Journal("20261121T180002Z", state_dir)
    assert mark_undone(journal, undo) == [A, B]
    assert [step.state for step in journal.steps()] == ["undone", "undone"]
    assert mark_undone(journal, undo) == []
    mark_undone(undo, redo)
    assert [step.state for step in journal.steps()] == ["done", "done"]
    mark_undone(journal, journal)
    assert journal.to_undo("database") == []


def test_nothing_runs_unless_the_application_sees_the_right_schema(artisan, framework):
    check_connection(artisan, [migration(A, 1), migration(B, 2)], "live")
    for wrong in ([migration(A, 1), migration(B, 3)], [migration(A, None)]):
        with pytest.raises(RollbackError, match="not connected to the schema that is meant"):
            check_connection(artisan, wrong, "live")
    framework.ran.clear()
    with pytest.raises(RollbackError, match=f"does not see {A}"):
        check_connection(artisan, [migration(A, 1)], "live")


def test_a_rehearsal_wins_over_the_environment_file_and_a_cached_configuration():
    assert rehearsal_environment("s", "u", "p") == {
        "DB_DATABASE": "s",
        "DB_USERNAME": "u",
        "DB_PASSWORD": "p",
        "DB_URL": "",
        "DATABASE_URL": "",
        "APP_CONFIG_CACHE": "/dev/null/none.php",
    }


@pytest.mark.parametrize("status", [124, 137])
def test_a_command_that_takes_too_long_is_told(artisan, framework, status):
    framework.answer = (status, "", "")
    with pytest.raises(RollbackError, match=r"did not end in time. Found: 60 s. Look at: migrate:rollback"):
        reverse_one(artisan, migration(A))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            f"SQLSTATE[42S02]: Base table or view not found: 1146 Table 'b.t' doesn't exist (SQL: {CANARY})",
            "Table 'b.t'",
        ),
        (f"SQLSTATE[23000]: Integrity constraint violation: 1062 Duplicate entry '{CANARY}' for key 'u'", "(1062)"),
        (f"SQLSTATE[HY000]: General error: 1366 Incorrect value: '{CANARY}' (Connection: mysql, SQL: x)", "(1366)"),
        (f"SQLSTATE[HY000] [1045] Access denied (Connection: mysql, Host: h, SQL: {CANARY})", "[1045] Access denied"),
        (f"Failed to parse dotenv file. Unexpected whitespace at [{CANARY}].", "Failed to parse dotenv file"),
        ('Command "migrate:rollback" is not defined.', "is not defined"),
    ],
)
def test_an_error_is_told_without_values(said, told):
    assert told in without_values(said)
    assert CANARY not in without_values(said)
