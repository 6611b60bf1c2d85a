"""Which migrations are reversed, and what their source says against it."""

from __future__ import annotations

import contextlib
import re

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.migration_source import read_source
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import (
    Applied,
    examine,
    examine_all,
    find,
    to_reverse,
    vanished,
)
from hypothesis import given
from hypothesis import strategies as st

HEAD = """<?php
use Illuminate\\Database\\Migrations\\Migration;
use Illuminate\\Database\\Schema\\Blueprint;
use Illuminate\\Support\\Facades\\Schema;
use Illuminate\\Support\\Facades\\DB;
"""
CREATE = "Schema::create('x', function (Blueprint $table) { $table->id(); });"


def source(down="Schema::drop('x');", up=CREATE, rest=""):
    return f"{HEAD}return new class extends Migration {{\n{rest}\npublic function up(): void {{ {up} }}\n" + (
        f"public function down(): void {{ {down} }}\n}};\n" if down is not None else "};\n"
    )


@pytest.fixture
def examined(tmp_path):
    """What is known of a migration with this source."""

    def examine_source(text, accepted=False, connection="mysql"):
        path = tmp_path / "2025_01_01_000000_x.php"
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        return examine("2025_01_01_000000_x", [str(path)], accepted, connection)

    return examine_source


def test_the_newer_ones_are_reversed_newest_first_whatever_their_batch():
    live = [Applied("a", 1), Applied("c", 2), Applied("b", 2), Applied("d", 3), Applied("z", 1)]
    assert to_reverse(live, ["a", "z"]) == ["d", "c", "b"]
    assert to_reverse(live, ["a", "b", "c", "d", "z"]) == []
    assert vanished(live, ["a", "gone", "z"]) == ["gone"]


@given(st.sets(st.text(alphabet="abc_1", min_size=1)), st.sets(st.text(alphabet="abc_1", min_size=1)))
def test_each_migration_is_kept_reversed_or_missing(live, recorded):
    rows = [Applied(name, len(name)) for name in live]
    reverse, gone = to_reverse(rows, recorded), vanished(rows, recorded)
    assert len(reverse) == len(set(reverse))
    assert set(reverse) | (recorded - set(gone)) == live
    assert set(reverse) & recorded == set()
    assert set(gone) == recorded - live


DOWN_REFUSED = [
    (None, "down() is missing"),
    ("", "down() does nothing"),
    ("// Schema::drop('x');\n", "down() does nothing"),
    ("/* Schema::drop('x'); */ return;", "down() does nothing"),
    ("return; Schema::drop('x');", "down() does nothing"),
    ("$sql = \"Schema::drop('x');\";", "down() does nothing"),
    ("$sql = <<<PHP\n}} Schema::drop('x');\nPHP;", "down() does nothing"),
    ("Schema::disableForeignKeyConstraints();", "down() does nothing"),
    ("Log::info('nothing');", "down() does nothing"),
    ("throw new \\RuntimeException('no way back');", "down() always ends in an exception, line 9"),
    ("Schema::drop('x'); throw new LogicException;", "down() always ends in an exception"),
    ("if ($x) { Schema::drop('x'); } throw new LogicException;", "down() always ends in an exception"),
    ("exit(1);", "down() always ends in an exception"),
    ("Artisan::call('cache:clear'); Schema::drop('x');", "Artisan::call(), line 9, acts outside of the database"),
    ("unlink('x'); Schema::drop('x');", "unlink(), line 9, acts outside"),
    ("Schema::drop('x'); dispatch(new Job);", "dispatch(), line 9, acts outside"),
    ("Schema::dropAllTables();", "Schema::dropAllTables(), line 9, acts outside"),
    ("Schema::connection('other')->drop('x');", "a connection of its own"),
    ("Schema::connection($this->name)->drop('x');", "a connection of its own"),
    ("DB::connection('other')->statement('DROP TABLE x');", "a connection of its own"),
    ("$this->back();", "down() does nothing"),
]


@pytest.mark.parametrize(("down", "reason"), DOWN_REFUSED)
def test_what_cannot_be_reversed_is_refused(examined, down, reason):
    found = examined(source(down, rest="private function back() { return 1; }"))
    assert any(reason in refusal for refusal in found.refusals), found


DOWN_FINE = [
    "Schema::dropIfExists('x');",
    "Schema::DROP('x');",
    "\\Illuminate\\Support\\Facades\\Schema::drop('x');",
    "Schema::connection('mysql')->drop('x');",
    "if (Schema::hasTable('x')) { Schema::drop('x'); }",
    "if (DB::getDriverName() !== 'mysql') throw new LogicException; Schema::drop('x');",
    "if (DB::getDriverName() !== 'mysql') { throw new LogicException; } Schema::drop('x');",
    "DB::transaction(function () { Schema::drop('x'); });",
    "Schema::withoutForeignKeyConstraints(fn () => Schema::drop('x'));",
    "$this->back();",
    "self::back();",
    "Schema::table('x', function (Blueprint $t) { $t->drop(); });",
]


@pytest.mark.parametrize("down", DOWN_FINE)
def test_what_can_be_reversed_is_understood(examined, down):
    found = examined(source(down, rest="private static function back() { Schema::drop('x'); }"))
    assert (found.refusals, found.notes, found.whole) == ((), (), False)
    assert found.drops == ({"table": "x", "column": None},)
    assert found.tables == ("x",)


def test_a_connection_of_the_class_counts_unless_it_is_the_default(examined):
    text = source(rest="protected $connection = 'reports';")
    assert "a connection of its own" in examined(text).refusals[0]
    assert examined(text, connection="reports").refusals == ()
    assert "a connection of its own" in examined(text, connection=None).refusals[0]


LOSSY = [
    ("Schema::drop('old');", "up() drops table old"),
    ("Schema::dropIfExists('old');", "up() drops table old"),
    ("Schema::rename('old', 'new');", "up() renames table old to new"),
    ("Schema::dropColumns('t', ['a', 'b']);", "up() drops column t.b"),
    ("Schema::table('t', function (Blueprint $table) { $table->dropColumn('a'); });", "up() drops column t.a"),
    ("Schema::table('t', function (Blueprint $table) { $table->dropColumn(['a', 'b']); });", "up() drops column t.b"),
    ("Schema::table('t', function ($table) { $table->dropColumn('a', 'b'); });", "up() drops column t.b"),
    ("Schema::table('t', fn ($t) => $t->renameColumn('a', 'b'));", "up() renames column t.a"),
    ("Schema::table('t', fn ($t) => $t->rename('u'));", "up() renames table t to u"),
    ("Schema::table('t', fn ($t) => $t->string('a', 5)->nullable()->change());", "up() changes the type of t.a"),
    ("Schema::table('t', fn ($t) => $t->dropTimestamps());", "up() drops column t.updated_at"),
    ("Schema::table('t', fn ($t) => $t->dropSoftDeletes());", "up() drops column t.deleted_at"),
    ("Schema::table('t', fn ($t) => $t->dropSoftDeletes('gone_at'));", "up() drops column t.gone_at"),
    ("Schema::table('t', fn ($t) => $t->dropRememberToken());", "up() drops column t.remember_token"),
    ("Schema::table('t', fn ($t) => $t->dropMorphs('owner'));", "up() drops column t.owner_type"),
    ("Schema::table('t', fn ($t) => $t->dropConstrainedForeignId('c_id'));", "up() drops column t.c_id"),
    ("Schema::table('t', fn ($t) => $t->dropForeignIdFor(User::class));", "up() drops column t.of a computed name"),
    ("Schema::table($name, fn ($t) => $t->dropColumn($column));", "up() drops column a table.of a computed name"),
    ("Schema::whenTableHasColumn('t', 'a', fn ($t) => $t->dropColumn('a'));", "up() drops column t.a"),
    ("Schema::connection('mysql')->table('t', fn ($t) => $t->dropColumn('a'));", "up() drops column t.a"),
    ("DB::statement('ALTER TABLE t DROP COLUMN a');", "up() DB::statement(ALTER TABLE t)"),
    ("DB::statement('ALTER TABLE t DROP a');", "up() DB::statement(ALTER TABLE t)"),
    ("DB::unprepared(<<<SQL\nDROP TABLE t;\nSQL);", "up() DB::unprepared(DROP TABLE t)"),
    ('DB::statement("ALTER TABLE {$t} MODIFY a INT");', "up() DB::statement(ALTER TABLE)"),
    ("DB::table('t')->where('a', 1)->delete();", "up() DB::table(t)->where()->delete()"),
]


@pytest.mark.parametrize(("up", "reason"), LOSSY)
def test_what_was_lost_is_refused_unless_it_is_accepted(examined, up, reason):
    refused = examined(source(up=f"{CREATE} {up}"))
    assert any(line.startswith(reason) for line in refused.lossy), refused
    assert all(any(line in refusal for refusal in refused.refusals) for line in refused.lossy)
    accepted = examined(source(up=f"{CREATE} {up}"), accepted=True)
    assert (accepted.refusals, accepted.lossy) == ((), refused.lossy)


def test_nothing_else_can_be_accepted(examined):
    for down, reason in DOWN_REFUSED:
        found = examined(source(down, rest="private function back() { return 1; }"), accepted=True)
        assert any(reason in refusal for refusal in found.refusals), down


ADDITIVE = [
    "Schema::table('t', function (Blueprint $t) { $t->string('a')->default(DB::raw('(uuid())'))->index(); });",
    "Schema::table('t', fn ($t) => $t->foreignId('c_id')->constrained()->cascadeOnDelete());",
    "Schema::table('t', fn ($t) => $t->dropIndex(['a']));",
    "Schema::table('t', fn ($t) => $t->dropForeign('fk'));",
    "DB::statement('ALTER TABLE t ADD KEY (a)');",
    "DB::statement('ALTER TABLE t DROP INDEX a');",
    "DB::statement('ALTER TABLE t DROP FOREIGN KEY a');",
    "DB::table('t')->update(['change' => 1]);",
]


@pytest.mark.parametrize("up", ADDITIVE)
def test_what_only_adds_is_not_lossy(examined, up):
    found = examined(source(up=up))
    assert (found.lossy, found.refusals) == ((), ())


UNKNOWN = [
    (
        "DB::statement('UPDATE campaigns SET name = \"secret\"');",
        "down() DB::statement(UPDATE campaigns), line 9: unknown",
    ),
    ("DB::table('campaigns')->update(['a' => 'secret']);", "down() DB::table(campaigns)->update(), line 9: unknown"),
    ("DB::table($name)->insert([]);", "down() DB::table(computed)->insert(), line 9: unknown"),
    ("Campaign::query()->delete();", "down() Campaign::query(), line 9: unknown"),
    ("(new Seeder)->run();", "down() ->run(), line 9: unknown"),
    ("app('db')->statement('x');", "down() app(), line 9: unknown"),
    ("$this->schema->drop('y');", "down() ->drop(), line 9: unknown"),
    ("$schema->drop('y');", "down() $schema->drop(), line 9: unknown"),
    ("$callback();", "down() a computed call, line 9: unknown"),
    ("parent::down();", "down() parent::down(), line 9: unknown"),
    ("$this->inherited();", "down() inherited() of another class, line 9: unknown"),
    ("Schema::table('y', $closure);", "down() a computed closure, line 9: unknown"),
    ("Schema::getConnection()->statement('x');", "down() Schema::getConnection(), line 9: unknown"),
    ("DB::getPdo()->exec('x');", "down() DB::getPdo()->exec(), line 9: unknown"),
    ("Schema::unheardOf('y');", "down() Schema::unheardOf(), line 9: unknown"),
]


@pytest.mark.parametrize(("down", "note"), UNKNOWN)
def test_what_is_not_understood_is_named_and_may_change_anything(examined, down, note):
    found = examined(source(f"Schema::drop('x'); {down}"))
    assert found.refusals == ()
    assert found.whole
    assert any(note in line for line in found.notes), found.notes
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "down",
    [
        "Schema::drop($name);",
        "Schema::rename('x', $name);",
        "foreach (['x', 'y'] as $name) { Schema::dropIfExists($name); }",
        'Schema::drop("{$prefix}x");',
        "Schema::table(callback: fn (Blueprint $t) => $t->drop(), table: 'x');",
    ],
)
def test_a_table_whose_name_is_computed_may_be_any(examined, down):
    assert examined(source(down)).whole


@pytest.mark.parametrize(
    "query",
    [
        "DB::table('t')->count()",
        "DB::table('t')->where('a', 1)->exists()",
        "DB::select('SELECT 1')",
        "DB::getDriverName()",
        "Schema::getConnection()->getDriverName()",
    ],
)
def test_a_question_changes_nothing(examined, query):
    found = examined(source(f"if ({query}) {{ Schema::drop('x'); }}"))
    assert (found.notes, found.whole) == ((), False)


def test_a_rename_in_down_is_told(examined):
    found = examined(source("Schema::rename('x', 'y'); Schema::table('x', fn ($t) => $t->string('a')->change());"))
    assert [line.split(",")[0] for line in found.notes] == [
        "down() renames table x to y",
        "down() changes the type of x.a",
    ]
    assert found.tables == ("x", "y")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<?php class X extends Migration { function down() {", "cannot be read"),
        ("<?php return [];", "holds no migration"),
        ("nothing", "holds no migration"),
        ("<?php 'open", "cannot be read"),
        ("", "holds no migration"),
        ("<?php class X extends Migration { }", "down() is missing"),
        ("<?php class X extends OwnMigration { use Reversible; }", "down() is missing"),
        ("<?php abstract class X extends Migration { abstract function down(); }", "down() is missing"),
        ("<?php class X { function up() {} function down() {} }", "down() does nothing"),
        ("\udcff<?php \udcff", "holds no migration"),
    ],
)
def test_a_file_that_is_no_migration_is_refused(examined, text, reason):
    found = examined(text)
    assert reason in found.refusals[0]


def test_a_class_within_a_method_is_not_the_migration(examined):
    inner = "$x = new class extends Migration { public function down() { Schema::drop('y'); } };"
    assert examined(source(inner)).notes[0].startswith("down() a class within the method")
    assert examined(source(None, up=inner)).refusals == ("down() is missing",)


def test_an_alias_of_a_facade_is_seen_through(examined):
    text = source("Base::drop('x'); S::drop('z');").replace("Facades\\DB;", "Facades\\DB as Base;")
    text = text.replace("Facades\\Schema;", "Facades\\Schema as S;")
    found = examined(text)
    assert found.tables == ("z",)
    assert any("DB" in line or "Base" in line for line in found.notes)


#: Where PHP allows blanks it allows these, and none of them means anything.
NOISE = ["\n", " ", "// }\n", "# '\n", '/* { " */', "/** down() */", "\t", "#{\n"]
PIECES = re.findall(
    r"\S+",
    """return new class extends Migration {
    public function up ( ) : void { Schema :: create ( 'x' , function ( $table ) { $table -> id ( ) ; } ) ; }
    public function down ( ) : void {
        Schema :: table ( 'y' , function ( $table ) { $table -> dropColumn ( [ 'a' , "b" ] ) ; } ) ; $this -> more ( ) ;
    }
    private function more ( ) { Schema :: drop ( 'x' ) ; }
} ;""",
)


@given(st.lists(st.lists(st.sampled_from(NOISE), max_size=2), min_size=len(PIECES), max_size=len(PIECES)))
def test_comments_and_blanks_change_nothing(noise):
    text = "<?php " + "".join(" " + piece + " " + "".join(between) for piece, between in zip(PIECES, noise))
    found = read_source(text)
    assert [(known.kind, known.table, known.column) for known in found.down.operations] == [
        ("structure", "y", None),
        ("drop column", "y", "a"),
        ("drop column", "y", "b"),
        ("drop table", "x", None),
    ]
    assert [known.kind for known in found.up.operations] == ["structure"]


@given(st.text(max_size=30))
def test_a_text_is_never_taken_for_what_it_says(said):
    quoted = said.replace("\\", "\\\\").replace("'", "\\'")
    found = read_source(source(f"$x = '{quoted}'; Schema::drop('x');"))
    assert [known.kind for known in found.down.operations] == ["drop table"]


@given(st.text(alphabet=st.sampled_from("{}()[]'$;:->DB,x Schema\n"), max_size=60))
def test_no_body_breaks_the_examination(body):
    with contextlib.suppress(RollbackError):
        read_source(source(body))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "-x", "a b", "a;b", "é"])
def test_a_name_that_is_none_of_a_file_is_refused(name, tmp_path):
    path = tmp_path / "x_y.php"
    path.write_text(source())
    assert examine(name, [str(path)], True, None).refusals == ("its name is not one of a file",)


def test_files_are_found_where_the_framework_looks(tmp_path):
    places = ["database/migrations", "vendor/acme/tags/database/migrations", "odd[1]/migrations"]
    for number, place in enumerate(places):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / f"2025_01_0{number}_x.php").write_text(source())
    (tmp_path / places[0] / "nodash.php").write_text(source())
    (tmp_path / places[0] / "2025_below.txt").write_text("")
    patterns = ["database/migrations", "vendor/*/*/database/migrations", str(tmp_path / "odd*" / "migrations")]
    found = find(str(tmp_path), patterns)
    assert sorted(found) == ["2025_01_00_x", "2025_01_01_x", "2025_01_02_x"]
    assert found["2025_01_01_x"] == [str(tmp_path / places[1] / "2025_01_01_x.php")]
    assert find(str(tmp_path), [*patterns, *patterns]) == found


def test_each_is_examined_and_a_missing_or_doubled_file_is_refused(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1_same.php").write_text(source())
        (tmp_path / place / "1_other.php").write_text(source(down=f"Schema::drop('{place}');"))
    names = ["1_same", "1_other", "1_gone"]
    same, other, gone = examine_all(str(tmp_path), names, ["a", "b"], [], "mysql")
    assert (same.refusals, same.path) == ((), str(tmp_path / "a" / "1_same.php"))
    assert "several files have its name" in other.refusals[0]
    assert gone.refusals == ("its file is not in the release",)
    assert examine_all(str(tmp_path), names, ["a", "b"], names, "mysql")[2].refusals == gone.refusals
