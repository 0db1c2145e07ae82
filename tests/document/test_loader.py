"""YAML is read by the rules of 1.2, with the position of every value, or refused."""

import gc
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document import loader
from wps_run.document.document import Document
from wps_run.document.loader import decode, load, parse
from wps_run.document.scalars import Base64
from wps_run.problems import PlaybookError, Position

SENTINEL = "S3NT1NEL"
TEXTS = st.text("ab: -#'\"\\{}[]&*!%@`\n\t\u0085\u2028é😀", max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def rules(text: str) -> list[str]:
    """The rules that a text breaks when it is loaded."""
    with pytest.raises(PlaybookError) as caught:
        load(text, "f.yaml")
    return [problem.rule for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("2026-11-24", "2026-11-24"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("010", 10),
        ("0o17", 15),
        ("0xfF", 255),
        ("+5", 5),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("TRUE", True),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"7"', "7"),
        ("!!str 007", "007"),
        ("! 7", "7"),
        ("!!float 7", 7.0),
        ('!!int "7"', 7),
        ("!!binary aG k=", Base64("aGk=")),
        ("<<", "<<"),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    """Editors and JSON Schema tools read it so, PyYAML does not."""
    data = load(f"key: {text}\n", "f.yaml").data

    assert data == {"key": value}
    assert type(data["key"]) is type(value)


def test_a_number_too_long_for_python_is_still_a_number() -> None:
    """Python refuses to convert more than 4,300 digits; a user ID may look like that."""
    document = load("key: " + "9" * 5000, "f.yaml")

    assert isinstance(document.data["key"], float)
    assert document.source_text(("key",)) == "9" * 5000


def test_merge_keys_take_in_what_is_not_written() -> None:
    """Own keys win, then the earlier of several mappings."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*b, *a], z: 3}\nd: {'<<': 1}\n"

    data = load(text, "f.yaml").data

    assert data["c"] == {"z": 3, "y": 2, "x": 1}
    assert data["d"] == {"<<": 1}


@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_what_json_can_write_loads_as_json_says(
    value: object, indent: int | None, *, ascii_only: bool
) -> None:
    """A function's batch comes as JSON: surrogate escapes, raw U+2028 and DEL included."""
    text = json.dumps([value], indent=indent, ensure_ascii=ascii_only)

    assert load(text, "f.json").data == json.loads(text)


@pytest.mark.parametrize(
    "text", ['["\\/"]', '["\x7f\u2028\x85\ufeff"]', '{"' + "k" * 2000 + '": 1}', ' {"a"\n:1}']
)
def test_json_that_libyaml_refuses_is_read(text: str) -> None:
    """Escaped slashes, raw control characters, long keys, a colon on its own line."""
    assert load(text, "f.json").data == json.loads(text)


def document_text(data: Any, style: str) -> str:
    """Data written out in one of several ways."""
    if style.startswith("json"):
        return json.dumps(data, indent=2 if style == "json lines" else None)
    text = yaml.safe_dump(data, default_flow_style=style == "flow", sort_keys=False)
    return text.replace("\n", "\r\n") if style == "block with CRLF" else text


@given(
    before=st.lists(VALUES, max_size=2),
    around=st.lists(st.sampled_from(["list", "mapping"]), max_size=4),
    style=st.sampled_from(["block", "block with CRLF", "flow", "json", "json lines"]),
    as_key=st.booleans(),
)
def test_a_value_is_where_it_says(
    before: list[Any], around: list[str], style: str, *, as_key: bool
) -> None:
    """Line and column as an editor counts them, wherever the value stands."""
    data: Any = {SENTINEL: 1} if as_key else SENTINEL
    path: tuple[str | int, ...] = (SENTINEL,) if as_key else ()
    for kind in around:
        data = [*before, data] if kind == "list" else {"before": before, "in": data}
        path = (len(before) if kind == "list" else "in", *path)
    text = document_text(["first", data], style)
    document = load(text, "f.yaml")

    position = document.problem("", "", (1, *path), at_key=as_key).position

    offset = text.index(SENTINEL) - (text[text.index(SENTINEL) - 1] == '"')
    lines = text[:offset].replace("\r\n", "\n").split("\n")
    assert position == Position("f.yaml", len(lines), len(lines[-1]) + 1)


def test_every_duplicate_key_is_reported_at_once() -> None:
    """Each with the line of the first."""
    text = "a: 1\nb: {c: 1,\n  c: 2}\na: 3\na: 4\n"

    with pytest.raises(PlaybookError) as caught:
        load(text, "f.yaml")

    assert str(caught.value).splitlines() == [
        "f.yaml:3:3: error: the key `c` is here for the second time; the first is on line 2",
        "f.yaml:4:1: error: the key `a` is here for the second time; the first is on line 1",
        "f.yaml:5:1: error: the key `a` is here for the second time; the first is on line 1",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("\ufeff# only a comment", "empty"),
        ("a: 1\n---\nb: 2\n", "documents"),
        ("1: a\n", "key-type"),
        ("? [a]\n: b\n", "key-type"),
        ("a: *b\n", "alias"),
        ("a: &a [*a]\n", "alias"),
        ("<<: 1\n", "merge"),
        ("a: {<<: {b: 1}, <<: {c: 1}}\n", "duplicate-key"),
        ("a: !!set {b}\n", "tag"),
        ("a: !!int b\n", "tag"),
        ("a: !!int true\n", "tag"),
        ("a: !!nothing b\n", "tag"),
        ("[" * 65 + "]" * 65, "too-deep"),
        ("a: " + "[" * 100_000, "too-deep"),
        ("a: x\u2028y\n", "character"),
        ("a: x\x85y\n", "character"),
        ("a: x\ud800y\n", "character"),
        ('["\\ud800"]', "surrogate"),
        ("a: [\n", "syntax"),
    ],
)
def test_what_is_refused(text: str, rule: str) -> None:
    """Each with a rule that machines can tell apart."""
    assert rules(text) == [rule]


def bomb(width: int, height: int) -> str:
    """Lists of aliases of lists of aliases: `width` to the power of `height` values."""
    levels = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, height)]
    return "\n".join(levels)


@pytest.mark.parametrize("text", [bomb(10, 12), bomb(2, 60), bomb(400, 3)])
def test_an_alias_bomb_is_refused_before_it_grows(text: str) -> None:
    """What aliases stand for is counted, not built."""
    assert rules(text) == ["alias-bomb"]


def test_a_bomb_of_merge_keys_is_refused() -> None:
    """A mapping taken in again and again counts each time."""
    keys = ", ".join(f"k{i}: 1" for i in range(1000))
    text = f"a: &a {{{keys}}}\n" + "\n".join(f"b{i}: {{<<: *a}}" for i in range(200))

    assert rules(text) == ["alias-bomb"]


def test_a_long_playbook_may_use_an_anchor_in_every_action() -> None:
    """The limit grows with the values in the text."""
    text = "- &a {x: 1, y: 2}\n" + "- {<<: *a, z: 3}\n" * 40_000

    assert len(load(text, "f.yaml").data) == 40_001


@pytest.mark.parametrize("text", ["a: 1", "a: [", "a: 1\na: 2"])
def test_the_collector_is_left_as_it_was(text: str) -> None:
    """It is held off while building, also when that fails."""
    for turn in (gc.disable, gc.enable):
        turn()
        before = gc.isenabled()
        try:
            load(text, "f.yaml")
        except PlaybookError:
            pass
        finally:
            after = gc.isenabled()
            gc.enable()
        assert after == before


def test_without_libyaml_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser gives the same events."""
    text = "a: &a {b: 007}\nc: [*a, 'x', !!binary aGk=]\n"
    quick = load(text, "f.yaml")
    monkeypatch.setattr(loader, "_LOADER", yaml.SafeLoader)

    slow = load(text, "f.yaml")

    assert slow.data == quick.data
    assert slow.position(("c", 2)) == quick.position(("c", 2))


def test_bytes_are_utf_8_with_or_without_a_mark() -> None:
    """Windows editors write the mark."""
    assert decode("é".encode("utf-8-sig"), "f") == decode("é".encode(), "f") == "é"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: 1\nb: \xe9x", "f:2:4: error: the byte 0xE9 is not UTF-8; save the file as UTF-8"),
        ("é".encode("utf-16"), "f:1:1: error: the file is UTF-16; save it as UTF-8"),
        ("é".encode("utf-32"), "f:1:1: error: the file is UTF-32; save it as UTF-8"),
    ],
)
def test_other_bytes_are_refused_at_their_place(raw: bytes, message: str) -> None:
    """The first bad byte, by line and column of what stands before it."""
    with pytest.raises(PlaybookError) as caught:
        decode(raw, "f")

    assert str(caught.value) == message


@given(raw=st.binary() | st.lists(st.sampled_from(
    [b"a", b": ", b"- ", b"\n", b"  ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<", b"'", b'"',
     b"\\", b"#", b"|", b">", b"!", b"!!int ", b"?", b",", b"---\n", b"\xef\xbb\xbf", b"\t", b"%",
     b"\r", "é\u2028".encode(), b"0", b"~"])).map(b"".join))  # fmt: skip
def test_any_bytes_are_data_or_a_playbook_error(raw: bytes) -> None:
    """Nothing else ever comes out."""
    try:
        outcome: object = load(decode(raw, "f"), "f")
    except PlaybookError as error:
        outcome = error.problems
    assert isinstance(outcome, Document) or outcome


def test_problems_of_the_text_do_not_hide_the_data() -> None:
    """The first of two values counts; of a refused character, its replacement."""
    document = parse('a: 1\na: 2\nb: "\\ud800"\nc: *d\ne: \x07\n---\nf: 3\n', "f.yaml")

    assert document.data == {"a": 1, "b": "\ufffd", "c": None, "e": "\ufffd"}
    assert [problem.rule for problem in document.problems] == [
        "duplicate-key",
        "surrogate",
        "alias",
        "character",
        "documents",
    ]


def test_escapes_in_other_texts_are_no_surrogates() -> None:
    """Only double quotes have escapes in YAML; a doubled backslash is none."""
    text = 'a: "\\ud83d\\ude00"\nb: \'\\ud800\'\nc: "\\\\ud800"\n'

    document = parse(text, "f.yaml")

    assert [str(problem.position) for problem in document.problems] == ["f.yaml:1:5"]
    assert document.data["c"] == "\\ud800"


def test_a_text_of_control_characters_is_one_problem() -> None:
    """Such as a file of another program, or UTF-16 without its mark."""
    assert rules("a\0b\0" * 1000) == ["character"]


@pytest.mark.parametrize("text", ["a: 1", "[1,]", "[1] # one", "['a']", "{a: 1}", "[~]", "[NaN]"])
def test_a_json_file_is_strict(text: str) -> None:
    """By its suffix in any case; the same text in another file may be YAML."""
    for file in ("f.json", "F.JSON"):
        with pytest.raises(PlaybookError) as caught:
            load(text, file)
        assert [problem.rule for problem in caught.value.problems] == ["syntax"]
    load(text, "f.yaml")


def test_json_that_is_nested_too_deeply_says_where() -> None:
    """However deep it is."""
    for depth in (65, 200_000):
        with pytest.raises(PlaybookError) as caught:
            load("[" * depth + "]" * depth, "f.json")
        assert [str(problem.position) for problem in caught.value.problems] == ["f.json:1:65"]
