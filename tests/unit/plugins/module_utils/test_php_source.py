"""The words of PHP: nothing inside of a text or a comment is taken for code, and no input breaks the reader."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.php_source import (
    Token,
    aliases,
    arguments,
    classes,
    closing,
    tokens,
)
from hypothesis import example, given
from hypothesis import strategies as st


def words(code):
    return [(token.kind, token.text) for token in tokens(f"<?php {code}")]


TEXTS = [
    ("'a'", "string", "a"),
    (r"'it\'s \n \\'", "string", r"it's \n " + "\\"),
    ("'}'", "string", "}"),
    ('"a"', "string", "a"),
    (r'"a\"} \$x \n"', "string", 'a"} $x \n'),
    ('"a $x"', "template", "a $x"),
    ('"a {$x["key"]} }"', "template", 'a {$x["key"]} }'),
    ("\"a {$x['}']} b\"", "template", "a {$x['}']} b"),
    ('"a ${x} b"', "template", "a ${x} b"),
    ("`ls`", "template", "ls"),
    ('<<<SQL\n  DROP } "x" \'y\n  SQL', "string", '  DROP } "x" \'y\n'),
    ('<<<"SQL"\nx\nSQL', "string", "x\n"),
    ("<<<'SQL'\n$x {$y}\nSQL", "string", "$x {$y}\n"),
    ("<<<SQL\n$x\nSQL", "template", "$x\n"),
    ("<<<SQL\nSQLITE\nSQL", "string", "SQLITE\n"),
    ("<<<SQL\nSQL", "string", ""),
]


@pytest.mark.parametrize(("code", "kind", "text"), TEXTS)
def test_a_text_is_one_word(code, kind, text):
    assert words(f"f({code});") == [
        ("name", "f"),
        ("symbol", "("),
        (kind, text),
        ("symbol", ")"),
        ("symbol", ";"),
    ]


@pytest.mark.parametrize(
    "comment", ["// } '\n", '# } "\n', "/* } ' \n */", "/** } */", "// ends with the mode ?><?php "]
)
def test_a_comment_is_nothing(comment):
    assert [word for word in words(f"f({comment})") if word[1] != ";"] == [
        ("name", "f"),
        ("symbol", "("),
        ("symbol", ")"),
    ]


def test_an_attribute_is_no_comment():
    assert [text for _kind, text in words("#[Pure('}')] f();")] == [
        "#[",
        "Pure",
        "(",
        "}",
        ")",
        "]",
        "f",
        "(",
        ")",
        ";",
    ]


def test_what_stands_outside_of_php_is_no_code():
    assert [token.text for token in tokens("class { <?php f() ?> } <?= g() ?>\n}")] == [
        *("f", "(", ")", ";"),
        *("g", "(", ")", ";"),
    ]


def test_lines_count_from_one_through_texts_and_comments():
    found = tokens("<?php\n/* a\nb */ $x\n= 'c\nd';\n$y")
    assert [(token.text, token.line) for token in found] == [
        ("$x", 3),
        ("=", 4),
        ("c\nd", 4),
        (";", 5),
        ("$y", 6),
    ]


@pytest.mark.parametrize(
    "code", ["'open", '"open', "`open", "<<<X\nopen", "/* open", "f(", "f)", "{ ( }", '"{$x', "[", "#[", "'\\'", '"\\"']
)
def test_what_is_not_closed_is_refused(code):
    with pytest.raises(RollbackError, match="cannot be read"):
        tokens(f"<?php {code}")


@given(st.text(alphabet=st.sampled_from("{}()[]'\"`$\\/*#<>?-:=;, \nabSQL_7é"), max_size=60))
@example("{$")
@example('"${')
@example("<<<SQL\n")
@example("<<<'SQL\"\nSQL")
def test_no_input_breaks_the_reader(code):
    try:
        found = tokens(f"<?php {code}")
    except RollbackError:
        return
    opened = [index for index, token in enumerate(found) if token.is_symbol("(", "[", "{", "#[")]
    for index in opened:
        assert index < closing(found, index) < len(found)
    classes(found)
    aliases(found)


@given(st.text(max_size=40))
def test_a_text_comes_back_as_it_was_meant(text):
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert [token.text for token in tokens(f"<?php '{escaped}'")] == [text]


def test_arguments_are_split_where_they_end():
    found = tokens("<?php f(['a', 'b'], fn ($x) => g($x, 1), name: 'c', );")
    parts, end = arguments(found, 1)
    assert [[token.text for token in part] for part in parts] == [
        ["[", "a", ",", "b", "]"],
        ["fn", "(", "$x", ")", "=>", "g", "(", "$x", ",", "1", ")"],
        ["c"],
    ]
    assert found[end] == Token("symbol", ")", 1)


SOURCE = """<?php
namespace App;
use Illuminate\\Support\\Facades\\DB as Base;
use Illuminate\\Database\\Migrations\\Migration;
interface Nothing { public function down(); }
#[Attribute]
final class Helper { public function down() { return new class { function up() { helper(); } }; } }
return new class(Helper::class, 1) extends \\Illuminate\\Database\\Migrations\\Migration implements Nothing
{
    use Something;
    public $withinTransaction = false;
    protected ?string $connection = 'other';
    private array $list = ['function' => 'down'];
    public function UP(): void { if (true) { a(); } }
    public static function &down(array $x = ['}']): ?array { b(); }
    abstract function last();
};
"""


def test_classes_and_their_methods_are_found():
    helper, migration = classes(tokens(SOURCE))
    assert (helper.parent, list(helper.methods)) == ("", ["down"])
    assert (migration.parent, migration.connection) == ("Migration", "other")
    assert {name: [token.text for token in body][-4:] for name, body in migration.methods.items()} == {
        "up": ["(", ")", ";", "}"],
        "down": ["b", "(", ")", ";"],
    }
    assert aliases(tokens(SOURCE)) == {"base": "DB"}


@pytest.mark.parametrize(
    ("value", "connection"), [("'x'", "x"), ("null", None), ("self::X", ""), ("'a' . 'b'", ""), ('"$x"', "")]
)
def test_a_connection_that_is_computed_is_not_taken_for_none(value, connection):
    found = classes(tokens(f"<?php class A extends Migration {{ protected $connection = {value}; }}"))
    assert found[0].connection == connection
