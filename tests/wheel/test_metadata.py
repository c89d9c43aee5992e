"""METADATA and WHEEL are read as email.parser reads them, byte for byte, and refused where it would guess."""

from __future__ import annotations

from contextlib import suppress
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.metadata import WheelFile, parse_headers, parse_wheel_file, write_wheel_file

METADATA = """\
Metadata-Version: 2.1
Name: Größe
License: MIT
  with a fold
name: twice

Body: no field
""".encode()


def test_fields_keep_their_order_duplicates_folds_and_bytes() -> None:
    headers = parse_headers(METADATA)
    assert [header.name for header in headers.fields] == ["Metadata-Version", "Name", "License", "name"]
    assert [header.value for header in headers.get_all("NAME")] == ["Größe", "twice"]
    assert headers.get_all("License")[0].value == "MIT\n  with a fold"
    assert headers.get_all("License")[0].flat == "MIT with a fold"
    assert headers.get_all("License")[0].raw == b"License: MIT\n  with a fold\n"
    assert headers.text == "Body: no field\n"
    assert headers.get_all("Body") == ()


_NAMES = st.from_regex(r"[A-Z][A-Za-z-]{0,8}", fullmatch=True)
_VALUES = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=12)
_FOLDS = st.lists(st.tuples(st.sampled_from([" ", "\t", "        "]), _VALUES), max_size=2)
_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    end = draw(_ENDS)
    lines = []
    for name, value in draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4)):
        lines.append(f"{name}:{value}")
        lines += [indent + text for indent, text in draw(_FOLDS)]
    body = draw(
        st.one_of(st.none(), st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=9))
    )
    text = "".join(line + end for line in lines)
    return (text if body is None else text + end + body).encode()


@given(_files())
def test_what_is_read_is_what_the_email_parser_reads(data: bytes) -> None:
    headers = parse_headers(data)
    assert bytes(headers) == data
    expected = [
        (name, " ".join(str(value).split())) for name, value in BytesParser().parsebytes(data).items()
    ]
    assert [(header.name, header.flat) for header in headers.fields] == expected


@given(st.binary(max_size=40))
def test_any_bytes_either_come_back_or_are_refused(data: bytes) -> None:
    with suppress(InvalidInput):
        assert bytes(parse_headers(data)) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Name: \xff\n", "not UTF-8"),
        (b"Name: a\n\n\xff", "not UTF-8"),
        (b"Name: a\nno field\nVersion: 1\n", "line 2 is no header field"),
        (b" folded into nothing\n", "line 1 is no header field"),
        (b"Name : a\n", "line 1 is no header field"),
        (b": a\n", "line 1 is no header field"),
        (b"From me Mon Jan 1\nName: a\n", "line 1 is no header field"),
        (b"\xef\xbb\xbfName: a\n", "line 1 is no header field"),
    ],
)
def test_what_the_email_parser_would_take_for_the_body_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_headers(data)


@pytest.mark.parametrize(
    ("data", "newline"),
    [
        (b"A: 1\nB: 2\n", b"\n"),
        (b"A: 1\r\n\r\n", b"\r\n"),
        (b"A: 1\rB: 2", b"\r"),
        (b"A: 1", b"\n"),
        (b"", b"\n"),
    ],
)
def test_the_line_end_of_a_file_is_known(data: bytes, newline: bytes) -> None:
    assert parse_headers(data).newline == newline


WHEEL = b"""\
Wheel-Version: 1.0
Generator: bdist_wheel 1.0
Root-Is-Purelib: false
Tag: cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64
Tag: cp311-cp311-manylinux2014_x86_64
Tag: py2.py3-none-any
Build: 1
X-Extra: some thing
"""


def test_a_wheel_file_is_read_with_its_tags_expanded() -> None:
    assert parse_wheel_file(WHEEL) == WheelFile(
        wheel_version="1.0",
        generator="bdist_wheel 1.0",
        root_is_purelib=False,
        build="1",
        tags=(
            "cp311-cp311-manylinux_2_17_x86_64",
            "cp311-cp311-manylinux2014_x86_64",
            "py2-none-any",
            "py3-none-any",
        ),
        others=(("X-Extra", "some thing"),),
    )


def test_tags_after_a_blank_line_are_no_tags_but_are_told() -> None:
    wheel = parse_wheel_file(b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n\nTag: cp38-cp38-linux_x86_64\n\n")
    assert wheel.root_is_purelib
    assert wheel.tags == ()
    assert wheel.unread == ("Tag: cp38-cp38-linux_x86_64",)


@pytest.mark.parametrize("data", [WHEEL, b"Wheel-Version: 1.9\r\nroot-is-purelib: TRUE\r\n"])
def test_a_written_wheel_file_reads_the_same(data: bytes) -> None:
    wheel = parse_wheel_file(data)
    assert parse_wheel_file(write_wheel_file(wheel)) == wheel


def test_a_wheel_file_is_written_in_the_order_of_the_specification() -> None:
    wheel = WheelFile("1.0", "wheelfuse 1", False, "", ("cp311-cp311-any", "cp312-cp312-any"))
    assert write_wheel_file(wheel) == (
        b"Wheel-Version: 1.0\nGenerator: wheelfuse 1\nRoot-Is-Purelib: false\n"
        b"Tag: cp311-cp311-any\nTag: cp312-cp312-any\n"
    )


def test_a_value_of_two_lines_is_not_written() -> None:
    with pytest.raises(InvalidInput, match="Generator must be one line"):
        write_wheel_file(WheelFile("1.0", "a\nTag: b-c-d", False, "", ()))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Wheel-Version is ''"),
        (b"Wheel-Version: one\n", "Wheel-Version is 'one'"),
        (b"Wheel-Version: 2.0\n", "only 1.x is known"),
        (b"Wheel-Version: 1.0\nWheel-Version: 1.0\n", "Wheel-Version occurs 2 times"),
        (b"Wheel-Version: 1.0\nRoot-Is-Purelib: perhaps\n", "neither true nor false"),
        (b"Wheel-Version: 1.0\nTag: cp311-linux_x86_64\n", "not python-abi-platform"),
        (b"Wheel-Version: 1.0\nTag: a--c\n", "not python-abi-platform"),
        (b"Wheel-Version: 1.0\nTag: a-b-c .d\n", "not python-abi-platform"),
        (b"Wheel-Version: 1.0\nnonsense\n", "line 2"),
    ],
)
def test_a_wheel_file_that_makes_no_sense_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_wheel_file(data)
