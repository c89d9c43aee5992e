"""Wheels from the index are verified: published ones work, and what is broken on purpose is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interpreters import available
from tests.real.conftest import at_hand
from tests.real.download import CACHE, fetched
from tests.wheels import build_wheel, contents
from wheelfuse.fuse.api import merge
from wheelfuse.target import Target
from wheelfuse.verifying.api import verify
from wheelfuse.verifying.options import VerifyOptions
from wheelfuse.verifying.results import Outcome

pytestmark = pytest.mark.real


def test_a_fused_wheel_works_on_every_cpython_at_hand(tmp_path: Path) -> None:
    merged = merge(fetched("projects", "markupsafe"), tmp_path)
    assert merged.written
    command = "python -c 'import markupsafe as m; assert m._escape_inner is m._speedups._escape_inner'"
    outcome = verify(merged.written.path, VerifyOptions(command=command, offline=True))
    tried = [trial for trial in outcome.trials if trial.python]
    assert [trial.target for trial in tried] == at_hand("markupsafe")
    assert [item.result.outcome for trial in tried for item in trial.modules] == [Outcome.OK] * len(tried)
    assert outcome.exit_code == 0


def test_what_a_wheel_requires_decides_whether_it_can_be_imported() -> None:
    [path] = [path for path in fetched("stable-abi", "cryptography") if "-cp311-abi3-" in path.name]
    target = max(t for t in available() if not t.free_threaded and Target(11) <= t <= Target(15))
    options = VerifyOptions((target,), offline=True, find_links=(CACHE,))
    [trial] = verify(path, options).trials
    assert [result.outcome for result in trial.results] == [Outcome.OK, Outcome.OK], trial
    [trial] = verify(path, VerifyOptions((target,), no_deps=True)).trials
    [module] = trial.modules
    assert module.result.outcome is Outcome.NOT_VERIFIED
    assert "No module named '_cffi_backend'" in module.result.reason


def test_a_module_that_was_built_for_another_cpython_is_found(tmp_path: Path) -> None:
    targets = [t for t in available() if not t.free_threaded][:2]
    if len(targets) < 2:
        pytest.skip("two CPythons with the GIL are needed")
    first, second = targets
    [path] = [path for path in fetched("projects", "msgpack") if f"-{second}-manylinux" in path.name]
    files = {
        name.replace(second.soabi_tag, first.soabi_tag): content
        for name, content in contents(path).items()
        if ".dist-info/" not in name
    }
    renamed = build_wheel(tmp_path, str(first), files, name="msgpack")
    [trial] = verify(renamed, VerifyOptions((first,), offline=True)).trials
    assert trial.failed, trial
