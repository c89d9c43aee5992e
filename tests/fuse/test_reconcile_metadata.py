"""The METADATA of several wheels becomes one that tells every CPython what its own wheel told it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from wheelfuse.fuse.reconcile.metadata import reconcile_metadata
from wheelfuse.fuse.reconcile.requirements import identify
from wheelfuse.fuse.reconcile.variant import Reconciled, Variant
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.metadata import parse_headers

HEAD = "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n"


def targets(names: str) -> tuple[Target, ...]:
    return tuple(sorted(Target.parse(name) for name in names.split()))


def variant(names: str, text: str | bytes) -> Variant:
    return Variant(targets(names), text if isinstance(text, bytes) else text.encode())


def requiring(names: str, *requirements: str) -> Variant:
    return variant(names, HEAD + "".join(f"Requires-Dist: {r}\n" for r in requirements) + "\nBody\n")


def requirements(result: Reconciled) -> list[str]:
    assert result.content is not None, result.conflicts
    Metadata.from_email(result.content, validate=True)
    return [header.flat for header in parse_headers(result.content).get_all("Requires-Dist")]


@pytest.mark.parametrize(
    ("wheels", "merged"),
    [
        pytest.param(
            {"cp310": ["numpy>=1.22"], "cp311": ["numpy>=1.22"], "cp312": ["numpy>=1.26"]},
            ['numpy>=1.26; python_version >= "3.12"', 'numpy>=1.22; python_version < "3.12"'],
            id="a specifier per Python",
        ),
        pytest.param(
            {"cp39": ["a"], "cp310": ["a", "b"], "cp311": ["a", "b"], "cp312": ["a"]},
            ["a", 'b; python_version >= "3.10" and python_version < "3.12"'],
            id="a run in the middle",
        ),
        pytest.param(
            {"cp310": [], "cp311": ["a"], "cp312": []},
            ['a; python_version == "3.11"'],
            id="one in the middle",
        ),
        pytest.param(
            {"cp310": ["a"], "cp311": [], "cp312": ["a"], "cp313": ["a"], "cp314": []},
            ['a; python_version < "3.11" or (python_version >= "3.12" and python_version < "3.14")'],
            id="several runs",
        ),
        pytest.param(
            {"cp310": ["a", "b"], "cp311": ["b"]}, ["b", 'a; python_version < "3.11"'], id="the oldest alone"
        ),
        pytest.param(
            {"cp39": ["a"], "cp310": []}, ['a; python_version < "3.10"'], id="3.9 comes before 3.10"
        ),
        pytest.param(
            {"cp310": ['a; sys_platform == "linux" or extra == "x"'], "cp311": []},
            ['a; python_version < "3.11" and (sys_platform == "linux" or extra == "x")'],
            id="joined with its own marker, in parentheses",
        ),
        pytest.param(
            {"cp310": ['a; extra == "X_y"'], "cp311": []},
            ['a; python_version < "3.11" and extra == "x-y"'],
            id="joined with its own marker, without",
        ),
        pytest.param(
            {"cp310": ['a; extra == "x"'], "cp311": [], "cp312": ['a; extra == "x"']},
            ['a; (python_version < "3.11" or python_version >= "3.12") and extra == "x"'],
            id="several runs joined with its own marker",
        ),
        pytest.param(
            {"cp310": ["a @ https://example.org/a.zip"], "cp311": []},
            ['a @ https://example.org/a.zip ; python_version < "3.11"'],
            id="a direct reference",
        ),
        pytest.param(
            {"cp310": ['tomli; python_version < "3.11"'], "cp311": []},
            ['tomli; python_version < "3.11"'],
            id="its own marker excludes the others",
        ),
        pytest.param(
            {"cp310": ['tomli; python_full_version < "3.11" and sys_platform == "linux"'], "cp311": []},
            ['tomli; python_full_version < "3.11" and sys_platform == "linux"'],
            id="its own marker excludes the others whatever the machine",
        ),
        pytest.param(
            {"cp310": ['a; python_full_version < "3.11.4"'], "cp311": []},
            ['a; python_version < "3.11" and python_full_version < "3.11.4"'],
            id="its own marker excludes only some releases of the others",
        ),
        pytest.param(
            {"cp310": ['a; python_full_version == "3.11.4"'], "cp311": []},
            ['a; python_version < "3.11" and python_full_version == "3.11.4"'],
            id="its own marker holds on one release of the others",
        ),
        pytest.param(
            {"cp310": ['a; python_full_version >= "3.11"', "b"], "cp311": ["b"]},
            ["b"],
            id="for no Python of its own wheel, dropped for the sake of the others",
        ),
        pytest.param(
            {"cp310": ["tomli"], "cp311": ['tomli; python_version < "3.11"']},
            ['tomli; python_version < "3.11"'],
            id="resolved in one wheel, a marker in the other",
        ),
        pytest.param(
            {"cp310": ["A.b (<2,>=1.0)", "c; (os_name == 'nt' and extra == 'T_t')"],
             "cp311": ["a-B>=1,<2.0", 'c ; extra == "t-t" and os_name == "nt"']},
            ["a-B>=1,<2.0", 'c ; extra == "t-t" and os_name == "nt"'],
            id="only the spelling differs",
        ),
        pytest.param(
            {"cp313": ["a"], "cp313t": ["a"], "cp314": [], "cp314t": []},
            ['a; python_version < "3.14"'],
            id="both builds of a version agree",
        ),
        pytest.param(
            {"cp310": [], "cp312 cp313 cp314 cp315 cp316 cp317": ["a"]},
            ['a; python_version >= "3.12"'],
            id="an abi3 wheel",
        ),
        pytest.param(
            {"cp314": ['a; python_version < "3.14"'], "cp314t": []},
            ['a; python_version < "3.14"'],
            id="builds disagree about what neither of them needs",
        ),
    ],
)  # fmt: skip
def test_a_requirement_is_limited_to_the_pythons_whose_wheels_have_it(
    wheels: dict[str, list[str]], merged: list[str]
) -> None:
    variants = [requiring(names, *values) for names, values in wheels.items()]
    assert sorted(requirements(reconcile_metadata(variants))) == sorted(merged)


@pytest.mark.parametrize(
    ("wheels", "parts"),
    [
        ({"cp314": ["a>=1"], "cp314t": []}, ["cp314 requires 'a>=1', cp314t does not", "PEP 508"]),
        ({"cp313": ["a"], "cp314": ["a"], "cp314t": []}, ["cp314 requires 'a', cp314t does not"]),
        ({"cp310": ["a >= "], "cp311": []}, ["only cp310 has 'a >='", "cannot be parsed"]),
    ],
)
def test_requirements_that_no_marker_can_express_are_a_conflict(
    wheels: dict[str, list[str]], parts: list[str]
) -> None:
    result = reconcile_metadata([requiring(names, *values) for names, values in wheels.items()])
    assert result.content is None
    (conflict,) = result.conflicts
    assert conflict.startswith("Requires-Dist")
    for part in parts:
        assert part in conflict


def test_a_requirement_that_no_tool_can_parse_is_fine_where_all_wheels_have_it() -> None:
    first, second = requiring("cp310", "a >= ", "b"), requiring("cp311", "b", "a >= ")
    assert reconcile_metadata([first, second]).content == second.content


_PYTHONS = st.sampled_from(ALL_TARGETS)
_OWN_MARKERS = st.sampled_from(
    [
        "",
        'extra == "x"',
        'extra == "x" or extra == "y"',
        'sys_platform == "linux"',
        'sys_platform == "win32" or python_version < "3.11"',
        'python_version < "3.11"',
        'python_version >= "3.10" and extra == "y"',
        'python_full_version < "3.12"',
        'python_full_version >= "3.12.4"',
        'python_full_version == "3.11.4"',
        'python_full_version != "3.13.0"',
        'python_version == "3.14" or python_full_version <= "3.9.0"',
        '"3.10" in python_version',
        'python_version == "3.1*"',
    ]
)
_DEMANDS = st.tuples(st.sampled_from(["a", "a>=1", "a>=2", "b[x]", "c"]), _OWN_MARKERS)


@st.composite
def _matrices(draw: st.DrawFn) -> list[Variant]:
    """Wheels with requirements of their own, of which the two builds of one version have the same."""
    minors = draw(st.lists(st.integers(8, 17), min_size=1, max_size=6, unique=True))
    common = draw(st.lists(_DEMANDS, max_size=4))
    variants = []
    for minor in minors:
        own = draw(st.lists(_DEMANDS, max_size=3)) + [demand for demand in common if draw(st.booleans())]
        values = draw(st.permutations([f"{name}; {marker}" if marker else name for name, marker in own]))
        builds = [t for t in ALL_TARGETS if t.minor == minor]
        together = draw(st.booleans())
        for served in [tuple(builds)] if together else [(build,) for build in builds]:
            text = HEAD + "".join(f"Requires-Dist: {value}\n" for value in values)
            variants.append(Variant(served, text.encode()))
    return variants


def needed(requirements: Sequence[str], target: Target, micro: str, platform: str, extra: str) -> set[object]:
    environment = {
        "python_version": target.python_version,
        "python_full_version": f"{target.python_version}.{micro}",
        "sys_platform": platform,
        "extra": extra,
    }
    parsed = [Requirement(text) for text in requirements]
    active = [r for r in parsed if r.marker is None or r.marker.evaluate(environment)]
    for requirement in active:
        requirement.marker = None
    return {identify(str(requirement)) for requirement in active}


@settings(max_examples=120, deadline=None)
@given(_matrices())
def test_every_python_needs_exactly_what_its_own_wheel_needs(variants: list[Variant]) -> None:
    merged = requirements(reconcile_metadata(variants))
    for found in variants:
        own = [header.flat for header in parse_headers(found.content).get_all("Requires-Dist")]
        for target in found.targets:
            for micro in ("0a3", "0", "3", "4", "12"):
                for platform, extra in (("linux", ""), ("linux", "x"), ("win32", "y"), ("win32", "")):
                    where = (target, micro, platform, extra)
                    assert needed(merged, *where) == needed(own, *where)


@settings(max_examples=60, deadline=None)
@given(_matrices(), st.randoms(use_true_random=False))
def test_the_order_of_the_wheels_does_not_matter(variants: list[Variant], rng: random.Random) -> None:
    shuffled = rng.sample(variants, len(variants))
    assert reconcile_metadata(shuffled) == reconcile_metadata(variants)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.lists(_DEMANDS, max_size=3), min_size=2, max_size=4))
def test_builds_that_disagree_never_pass_in_silence(
    data: st.DataObject, lists: list[list[tuple[str, str]]]
) -> None:
    served = data.draw(st.lists(_PYTHONS, min_size=len(lists), max_size=len(lists), unique=True))
    variants = [
        requiring(str(target), *(f"{name}; {marker}" if marker else name for name, marker in values))
        for target, values in zip(served, lists, strict=True)
    ]
    result = reconcile_metadata(variants)
    assert (result.content is None) == bool(result.conflicts)
    if result.content is None:
        return
    merged = requirements(result)
    for found in variants:
        own = [header.flat for header in parse_headers(found.content).get_all("Requires-Dist")]
        for micro in ("0", "4"):
            where = (found.targets[0], micro, "linux", "x")
            assert needed(merged, *where) == needed(own, *where)


def test_only_the_lines_that_change_are_changed() -> None:
    older = requiring("cp310", "numpy>=1.22", "attrs")
    base = (
        b"Metadata-Version: 2.4\r\nName: Demo\r\nVersion: 1.0\r\nrequires-dist: numpy >= 1.26\r\n"
        b"Requires-Dist: attrs\r\nDynamic: Summary\r\n\r\nBody\r\n"
    )
    result = reconcile_metadata([older, variant("cp312", base)])
    assert result.content == base.replace(
        b"requires-dist: numpy >= 1.26\r\n",
        b'requires-dist: numpy>=1.26; python_version >= "3.12"\r\n'
        b'Requires-Dist: numpy>=1.22; python_version < "3.12"\r\n',
    )


def test_a_file_without_final_newline_and_requirements_gets_a_line_of_its_own() -> None:
    result = reconcile_metadata([requiring("cp310", "a"), variant("cp311", HEAD.rstrip("\n") + "\n\nBody")])
    assert result.content == f'{HEAD}Requires-Dist: a; python_version < "3.11"\n\nBody'.encode()
    bare = variant("cp311", HEAD.rstrip("\n"))
    result = reconcile_metadata([variant("cp310", HEAD + "Requires-Dist: a"), bare])
    assert result.content == f'{HEAD}Requires-Dist: a; python_version < "3.11"\n'.encode()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("Name: Demo\nMetadata-Version: 2.4\nKeywords: a, b\nVersion: 1.0\n\nBody\n", id="order"),
        pytest.param(f"{HEAD}Keywords: a,b\n\nBody".replace("\n", "\r\n"), id="CRLF"),
        pytest.param(
            f"{HEAD}Keywords: a,\n  b\nDynamic: Keywords\n\n\nBody\n\n", id="fold, Dynamic, blank lines"
        ),
        pytest.param(
            f"{HEAD}Keywords: a,b\nDescription: Body\n".replace("2.4", "2.1"), id="description as field"
        ),
    ],
)
def test_differences_without_meaning_keep_the_newest_text(other: str) -> None:
    newest = variant("cp312", f"{HEAD}Keywords: a,b\n\nBody\n")
    result = reconcile_metadata([variant("cp311", other), newest])
    assert result.content == newest.content
    assert result.notes


@pytest.mark.parametrize("fold", ["        ", "       |"])
def test_a_folded_description_equals_the_same_text_as_body(fold: str) -> None:
    text = "Title\n=====\n\n  * indented\n\nEnd"
    field = text.replace("\n", f"\n{fold}")
    old = variant("cp310", f"{HEAD.replace('2.4', '2.1')}Description: {field}\n")
    new = variant("cp311", f"{HEAD}\n{text}\n")
    assert reconcile_metadata([old, new]).content == new.content


def test_the_highest_metadata_version_is_kept_with_its_text() -> None:
    low, high = variant("cp312", HEAD.replace("2.4", "2.1") + "\nBody"), variant("cp310", HEAD + "\nBody")
    result = reconcile_metadata([low, high])
    assert result.content == high.content
    assert result.notes == ("Metadata-Version: kept the highest of '2.4' in cp310; '2.1' in cp312",)


def test_license_files_are_united() -> None:
    old = variant("cp310", HEAD + "License-File: LICENSE\nLicense-File: NOTICE\n\nBody")
    new = variant("cp311", HEAD + "License-File: LICENSE\nSummary: s\n\nBody")
    result = reconcile_metadata([variant("cp310", old.content.replace(b"\n\n", b"\nSummary: s\n\n")), new])
    assert result.content is not None
    assert Metadata.from_email(result.content, validate=True).license_files == ["LICENSE", "NOTICE"]


def test_a_license_file_of_the_time_before_pep_639_is_not_taken_over() -> None:
    old = variant("cp310", HEAD.replace("2.4", "2.1") + "License-File: OLD\n\nBody")
    new = variant("cp311", HEAD + "License-File: NEW\n\nBody")
    result = reconcile_metadata([old, new])
    assert result.content == new.content
    assert any("left out OLD" in note for note in result.notes)


@pytest.mark.parametrize(
    ("old", "new", "conflict"),
    [
        ("Summary: a", "Summary: b", "Summary differs: 'a' in cp310; 'b' in cp311"),
        ("Requires-Python: >=3.10", "", "Requires-Python differs: '>=3.10' in cp310; absent in cp311"),
        ("Classifier: A\nClassifier: B", "Classifier: A", "Classifier differs: 'B' in cp310"),
        ("Provides-Extra: x", "Provides-Extra: y", "Provides-Extra differs: 'x' in cp310; 'y' in cp311"),
        ("Project-URL: Home, https://a", "Project-URL: Home, https://b", "Project-URL differs: "),
        ("License: MIT", "License-Expression: MIT", "License differs: 'MIT' in cp310; absent in cp311"),
        ("Keywords: a b", "Keywords: a c", "Keywords differs: "),
        ("X-Unknown: 1", "X-Unknown: 2", "X-Unknown differs: "),
        ("Summary: " + "a" * 200, "Summary: b", f"Summary differs: '{'a' * 71}…' in cp310; 'b' in cp311"),
        (
            "\nBody\nold",
            "\nBody\nnew",
            "Description differs, first in line 2: 'old' in cp310; 'new' in cp311",
        ),
    ],
)
def test_any_other_difference_is_a_conflict(old: str, new: str, conflict: str) -> None:
    result = reconcile_metadata([variant("cp310", f"{HEAD}{old}\n"), variant("cp311", f"{HEAD}{new}\n")])
    assert result.content is None
    assert any(found.startswith(conflict) for found in result.conflicts), result.conflicts


def test_all_conflicts_are_told_at_once() -> None:
    one = variant("cp314", HEAD + "Summary: a\nRequires-Dist: x\n\nA")
    two = variant("cp314t", HEAD + "Summary: b\n\nB")
    conflicts = reconcile_metadata([one, two]).conflicts
    assert [conflict.split()[0] for conflict in conflicts] == ["Summary", "Description", "Requires-Dist"]


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        ("Requires-Python: >=3.10, <4", "Requires-Python: <4,>=3.10"),
        ("Provides-Extra: Dev_X", "Provides-Extra: dev-x"),
        ("Keywords: a , b", "Keywords: a,b"),
    ],
)
def test_spellings_of_one_value_are_no_difference(text: str, equal: str) -> None:
    new = variant("cp311", f"{HEAD}{equal}\n\nBody")
    assert reconcile_metadata([variant("cp310", f"{HEAD}{text}\n\nBody"), new]).content == new.content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Metadata-Version: 2.1\nName: \xff\n", "not UTF-8"),
        (b"Metadata-Version: 2.1\nnonsense\n", "line 2"),
        (b"Name: demo\n", "it needs one Metadata-Version, such as 2.4, and has none"),
        (b"Metadata-Version: 2.1\nMetadata-Version: 2.4\n", "has 2.1, 2.4"),
        (b"Metadata-Version: new\n", "has new"),
    ],
)
def test_metadata_that_cannot_be_read_is_a_conflict_that_says_so(content: bytes, reason: str) -> None:
    result = reconcile_metadata([variant("cp310", content), variant("cp311", HEAD)])
    assert result.content is None
    assert result.conflicts[0].startswith("METADATA of cp310 cannot be read: ")
    assert reason in result.conflicts[0]


def test_notes_say_what_became_of_each_requirement() -> None:
    old = requiring("cp310", "numpy>=1.22", 'tomli; python_version < "3.11"', 'c; python_version >= "3.11"')
    new = requiring("cp311", "numpy>=1.26")
    assert reconcile_metadata([old, new]).notes == (
        "Requires-Dist 'c; python_version >= \"3.11\"' of cp310 left out: "
        "its own marker excludes these Pythons",
        "Requires-Dist 'numpy>=1.22' of cp310 limited to them: numpy>=1.22; python_version < \"3.11\"",
        "Requires-Dist 'numpy>=1.26' of cp311 limited to them: numpy>=1.26; python_version >= \"3.11\"",
        "Requires-Dist 'tomli; python_version < \"3.11\"' of cp310 kept as it is: "
        "its own marker excludes the other Pythons",
    )


def test_equal_files_come_back_without_notes() -> None:
    one, two = requiring("cp310", "a"), requiring("cp311", "a")
    assert reconcile_metadata([one, two]) == Reconciled(two.content)
    assert reconcile_metadata([one]) == Reconciled(one.content)
