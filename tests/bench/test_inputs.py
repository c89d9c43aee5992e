"""Pinned inputs of the bench."""

from __future__ import annotations

from bench import inputs
from tests.real import download as downloads
from tests.real.download import Pin, pins


def test_what_only_the_bench_needs_is_not_downloaded_for_the_tests(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    asked: list[Pin] = []
    monkeypatch.setattr(downloads, "brought", lambda *wanted: asked.extend(wanted))
    downloads.download.__wrapped__()
    assert asked
    assert not set(asked) & set(pins("bench"))
    assert set(asked) | set(pins("bench")) == set(pins())


def test_each_case_asks_only_for_its_own_files(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(inputs, "brought", lambda *wanted: [pin.path for pin in wanted])
    assert [
        len(given()) for given in (inputs.onnxruntime, inputs.cupy, inputs.markupsafe, inputs.triton)
    ] == [3, 2, 6, 1]
    assert len(set(inputs.forty())) == 40
