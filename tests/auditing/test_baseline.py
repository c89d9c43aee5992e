"""The baseline: what is counted, its document, and the rule that holds an input against it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auditing.test_libtorch import (
    MODULE,
    STABLE,
    TEMPLATE,
    TENSOR,
    UNTIL_2_12,
    module,
    one,
)
from tests.auditing.wheel_subjects import shared, wheel
from wheelfuse.auditing.baseline import KINDS, SCHEMA, Change, Counts, compare, count, file_key, parse, render
from wheelfuse.auditing.finding import NotRun, Severity
from wheelfuse.auditing.rules.torch.baseline import check_release
from wheelfuse.auditing.subject import Against, Subject
from wheelfuse.errors import Problem, UsageError

COUNTS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(1, 999), min_size=1),
    max_size=5,
)


def held(subject: Subject, baseline: Counts | None) -> Subject:
    """The subject with a baseline to hold it against."""
    return replace(subject, against=Against(baseline=baseline))


def document(**changed: object) -> str:
    return json.dumps({"schema": SCHEMA, "files": {"pkg/_C": {"unstable": 2}}, **changed})


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (MODULE, "pkg/_C"),
        ("pkg/_C.cpython-313t-aarch64-linux-gnu.so", "pkg/_C"),
        ("pkg/_C.abi3.so", "pkg/_C"),
        ("pkg-1.0.data/platlib/pkg/_C.so", "pkg/_C"),
        ("pkg.libs/libcudart.e8e8b82a.so.12", "pkg.libs/libcudart.*.so.12"),
        ("pkg.libs/libfoo-1a2b3c4d.so.1.2", "pkg.libs/libfoo-*.so.1.2"),
        ("pkg/libfoo.so.1", "pkg/libfoo.so.1"),
        ("pkg/libdeadbeef.so.1", "pkg/libdeadbeef.so.1"),
    ],
)
def test_how_files_are_named(path: str, key: str) -> None:
    assert file_key(path) == key


def test_what_is_counted() -> None:
    imports = (STABLE, TENSOR, UNTIL_2_12, TEMPLATE, "THPVariableClass", "torch_of_tomorrow")
    stable, foreign = module(STABLE, path="pkg/libstable.so"), shared("pkg/_d.abi3.so", "PyList_New")
    assert count([wheel("cp312-cp312", module(*imports), stable, foreign)]) == {
        "pkg/_C": {"unstable": 2, "torch_python": 1, "templates": 1, "unknown": 1}
    }


def test_of_several_builds_the_highest_count_is_taken() -> None:
    other = module(TENSOR, "THPVariableClass", path="pkg/_C.cpython-313-x86_64-linux-gnu.so")
    expected = {"pkg/_C": {"unstable": 2, "torch_python": 1}}
    both = wheel("cp312-cp312", module(TENSOR, UNTIL_2_12), other)
    assert count([both]) == expected
    apart = wheel("cp312-cp312", module(TENSOR, UNTIL_2_12)), wheel("cp313-cp313", other)
    assert count(apart) == expected


@given(COUNTS)
def test_the_document_gives_the_counts_back(counts: dict[str, dict[str, int]]) -> None:
    text = render(counts)
    assert parse(text) == counts
    assert render(dict(reversed(counts.items()))) == text
    assert text.endswith("}\n")


@given(COUNTS, COUNTS)
def test_comparing_tells_every_difference(
    baseline: dict[str, dict[str, int]], found: dict[str, dict[str, int]]
) -> None:
    assert compare(baseline, baseline) == ()
    changed = {file: dict(kinds) for file, kinds in baseline.items()}
    for change in compare(baseline, found):
        assert change.allowed != change.found
        changed.setdefault(change.file, {})[change.kind] = change.found
    kept = {file: {kind: n for kind, n in kinds.items() if n} for file, kinds in changed.items()}
    assert {file: kinds for file, kinds in kept.items() if kinds} == found


def test_changes_are_sorted_and_know_their_direction() -> None:
    found = compare({"b": {"unstable": 2}, "a": {"unknown": 1}}, {"b": {"unstable": 3}})
    assert found == (Change("a", "unknown", 1, 0), Change("b", "unstable", 2, 3))
    assert [change.grew for change in found] == [False, True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "its schema is not wheelfuse-baseline-1"),
        ("{}", "its schema is not wheelfuse-baseline-1"),
        (document(schema="wheelfuse-baseline-2"), "its schema is not wheelfuse-baseline-1"),
        (document(files=[]), "has not just schema and files"),
        (document(more=1), "has not just schema and files"),
        (document(files={"pkg/_C": {}}), "pkg/_C has not a count above 0"),
        (document(files={"pkg/_C": 3}), "pkg/_C has not a count above 0"),
        (document(files={"pkg/_C": {"unstable": 0}}), "pkg/_C has not a count above 0"),
        (document(files={"pkg/_C": {"unstable": True}}), "pkg/_C has not a count above 0"),
        (document(files={"pkg/_C": {"unstable": "2"}}), "pkg/_C has not a count above 0"),
        (document(files={"pkg/_C": {"other": 2}}), "pkg/_C has not a count above 0"),
    ],
)
def test_refuses_another_document(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=r"^base\.json") as raised:
        parse(text, "base.json")
    assert reason in str(raised.value)
    assert parse(document()) == {"pkg/_C": {"unstable": 2}}


SUBJECT = wheel("cp312-cp312", module(TENSOR, UNTIL_2_12))


def test_what_the_baseline_says_is_fine() -> None:
    assert list(check_release((held(SUBJECT, {"pkg/_C": {"unstable": 2}}),))) == []
    assert list(check_release((held(SUBJECT, None),))) == []
    assert list(check_release((held(wheel("cp312-cp312", module(STABLE)), {}),))) == []


@pytest.mark.parametrize(("baseline", "allowed"), [({"pkg/_C": {"unstable": 1}}, 1), ({}, 0)])
def test_more_than_the_baseline(baseline: Counts, allowed: int) -> None:
    finding = one(check_release((held(SUBJECT, baseline),)))
    assert (finding.code, finding.severity, finding.path) == ("WF407", Severity.ERROR, MODULE)
    assert finding.message == f"2 unstable C++ symbols, {allowed} in the baseline"
    assert finding.todo == "Use stable counterparts; the baseline may only shrink."
    assert finding.subject == SUBJECT.label


def test_fewer_than_the_baseline() -> None:
    finding = one(check_release((held(SUBJECT, {"pkg/_C": {"unstable": 3, "unknown": 1}}),)))
    assert finding.severity is Severity.ERROR
    assert finding.message == (
        "2 unstable C++ symbols, 3 in the baseline, 0 unknown aoti_torch_ or torch_ symbols, 1 in the baseline"
    )
    assert finding.todo == "Write the baseline again (--write-baseline), and commit it."


def test_a_file_that_is_gone() -> None:
    baseline = {"pkg/_C": {"unstable": 2}, "pkg/_D": {"unstable": 5}}
    finding = one(check_release((held(SUBJECT, baseline),)))
    assert (finding.message, finding.path) == ("the baseline lists pkg/_D, which is not there", "")


def test_the_inputs_of_a_release_count_together() -> None:
    """A file that only one platform has is not gone."""
    baseline = {"pkg/_C": {"unstable": 2}, "pkg/libextra": {"unstable": 1}}
    other = wheel("cp312-cp312", module(TENSOR, path="pkg/libextra.so"), platform="manylinux_2_17_aarch64")
    assert list(check_release((held(SUBJECT, baseline), held(other, baseline)))) == []
    assert one(check_release((held(SUBJECT, baseline),))).message.startswith(
        "the baseline lists pkg/libextra"
    )


def test_what_cannot_be_read_is_not_counted_as_gone() -> None:
    damaged = replace(SUBJECT, unreadable=(Problem("damaged"),))
    (item,) = check_release((held(damaged, {"pkg/_D": {"unstable": 5}}),))
    assert isinstance(item, NotRun)
