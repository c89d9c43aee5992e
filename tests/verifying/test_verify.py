"""Wheels are installed and imported for real, on the CPythons of this machine, without a network."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.interpreters import available
from tests.native import library
from tests.pythons.machines import bare
from tests.verifying.wheels import RUNNING, extension, linked, wheel
from tests.wheels import build_wheel
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.target import Target
from wheelfuse.verifying.api import verify
from wheelfuse.verifying.options import VerifyOptions
from wheelfuse.verifying.results import Outcome, Result, Trial, Verification

HERE = (RUNNING,)
OTHER = Target(10 if RUNNING.minor != 10 else 11)


def run(path: Path, **options: object) -> Trial:
    """Verify one wheel on the CPython that runs the tests alone."""
    [trial] = verify(path, VerifyOptions(HERE, offline=True, **options)).trials  # type: ignore[arg-type]
    return trial


def results(trial: Trial) -> dict[str, Result]:
    return {item.module: item.result for item in trial.modules}


def outcomes(trial: Trial) -> dict[str, Outcome]:
    return {name: result.outcome for name, result in results(trial).items()}


def test_a_good_wheel_works_on_every_cpython_that_it_claims_and_the_machine_has(tmp_path: Path) -> None:
    targets = tuple(available())
    path = wheel(tmp_path, {"pkg/__init__.py": "", **extension("pkg/_good", *targets)}, targets)
    command = "python -c 'import pkg._good, sys; print(pkg._good.built_for, sys.version.split()[0])'"
    outcome = verify(path, VerifyOptions(command=command))
    assert [trial.target for trial in outcome.trials] == sorted(targets)
    for trial in outcome.trials:
        assert outcomes(trial) == {"pkg._good": Outcome.OK}
        assert trial.installation.outcome is Outcome.OK
        assert trial.command
        assert trial.command.output.split() == [str(trial.target), trial.version]
    assert outcome.exit_code == 0
    assert not outcome.incomplete


def test_each_kind_of_failure_is_told_from_the_others(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"pkg/__init__.py": ""}
    for name in ("good", "crash", "fail", "abort_at_exit", "leave"):
        files |= extension(f"pkg/_{name}")
    files |= extension("pkg/_hole", OTHER)
    trial = run(wheel(tmp_path, files))
    found = results(trial)
    assert {name: result.outcome for name, result in found.items()} == {
        "pkg._abort_at_exit": Outcome.CRASHED,
        "pkg._crash": Outcome.CRASHED,
        "pkg._fail": Outcome.FAILED,
        "pkg._good": Outcome.OK,
        "pkg._hole": Outcome.MISSING,
        "pkg._leave": Outcome.CRASHED,
    }
    assert found["pkg._crash"].reason == "the process was killed by SIGSEGV"
    assert found["pkg._abort_at_exit"].reason == "it was imported, but then the process was killed by SIGABRT"
    assert found["pkg._fail"].reason == "ValueError: no luck"
    assert "ValueError: no luck" in found["pkg._fail"].output
    assert found["pkg._leave"].reason == "the process ended with exit status 0 during the import"
    assert trial.failed


def test_a_module_that_hangs_is_given_up(tmp_path: Path) -> None:
    result = results(run(wheel(tmp_path, extension("_hang")), timeout=1))["_hang"]
    assert (result.outcome, result.reason) == (Outcome.HUNG, "the process did not end in time")


def test_a_hole_can_be_accepted(tmp_path: Path) -> None:
    path = wheel(tmp_path, extension("_good") | extension("_hole", OTHER))
    trial = run(path, allow_missing=(f"{RUNNING}:_hole",))
    assert outcomes(trial) == {"_good": Outcome.OK, "_hole": Outcome.ABSENT}
    assert not trial.failed


def test_where_a_module_hangs_or_crashes_is_told(tmp_path: Path) -> None:
    slow = {"slow/__init__.py": "import time\n\nwhile True:\n    time.sleep(1)\n", **extension("slow/_a")}
    result = results(run(wheel(tmp_path / "slow", slow), timeout=2))["slow._a"]
    assert result.reason == "the process did not end in time; it was in slow/__init__.py, line 4"
    bad = {"bad/__init__.py": "import ctypes\nctypes.string_at(0)\n", **extension("bad/_b")}
    result = results(run(wheel(tmp_path / "bad", bad)))["bad._b"]
    assert result.outcome is Outcome.CRASHED
    assert "it was in" in result.reason


def test_the_real_cause_is_named_when_a_parent_package_fails(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "try:\n    import pkg.other\nexcept KeyError as e:\n    raise ImportError('no') from e\n",
        "pkg/other.py": "\n\n{}['key']\n",
        "hidden/__init__.py": "try:\n    from hidden import _fail\nexcept ValueError:\n    pass\n",
        **extension("pkg/_c"),
        **extension("hidden/_fail"),
    }
    found = results(run(wheel(tmp_path, files)))
    assert found["pkg._c"].reason == "importing pkg: ImportError: no (pkg/__init__.py, line 4)"
    assert "KeyError: 'key'" in found["pkg._c"].output
    assert found["hidden._fail"].reason == "ValueError: no luck"


def test_modules_are_found_wherever_a_wheel_may_have_them(tmp_path: Path) -> None:
    files = {
        **extension("_private"),
        **extension("space/deep/_one"),  # no __init__.py: namespace packages
        **extension("pkg-1.0.data/platlib/split/_two"),
        **extension("pkg-1.0.data/purelib/_three"),
        "split/__init__.py": "",
        "pkg.libs/helper.cpython-312-x86_64-linux-gnu.so": library("int x;"),  # import cannot get there
    }
    trial = run(wheel(tmp_path, files))
    assert outcomes(trial) == dict.fromkeys(
        ("_private", "_three", "space.deep._one", "split._two"), Outcome.OK
    )


def test_another_file_under_the_name_of_the_module_is_no_success(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "import sys\nfrom pkg import pure\nsys.modules['pkg._c'] = pure\n",
        "pkg/pure.py": "",
        **extension("pkg/_c"),
    }
    result = results(run(wheel(tmp_path, files)))["pkg._c"]
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("another file was imported: /")
    assert result.reason.endswith("/pkg/pure.py")


def test_a_release_that_a_requirement_put_in_its_place_is_no_success(tmp_path: Path) -> None:
    path = wheel(tmp_path / "mine", extension("pkg/_c"))
    changed = wheel(tmp_path / "other", extension("pkg/_c", flags=("-O0",)), version="2.0")
    trial = run(path, no_deps=True, with_=(str(changed),))
    assert "is not the file of this wheel" in results(trial)["pkg._c"].reason


def test_a_package_without_extension_modules_is_imported_itself(tmp_path: Path) -> None:
    files = {
        "lone.py": "raise ValueError('lone')",
        "good/__init__.py": "",
        "good/sub/__init__.py": "raise ValueError('not imported')",
        "space/deep/__init__.py": "",
        "pkg-1.0.data/scripts/tool.py": "raise ValueError('not imported')",
    }
    trial = run(build_wheel(tmp_path, tag="py3-none", platform="any", files=files))
    assert outcomes(trial) == {"good": Outcome.OK, "lone": Outcome.FAILED, "space.deep": Outcome.OK}


@pytest.mark.parametrize(
    ("source", "outcome", "reason"),
    [
        ("int answer(void) { return 42; }", Outcome.OK, ""),
        ("extern int no_such_function(void); int f(void) { return no_such_function(); }", Outcome.FAILED,
         "no_such_function"),
        ("extern void abort(void); __attribute__((constructor)) static void f(void) { abort(); }", Outcome.CRASHED,
         "SIGABRT"),
    ],
)  # fmt: skip
def test_a_library_that_is_named_like_a_module_is_opened(
    tmp_path: Path, source: str, outcome: Outcome, reason: str
) -> None:
    content = library(source, "", "-Wl,-z,now")
    path = wheel(tmp_path, {"pkg/__init__.py": "", "pkg/_ops.abi3.so": content})
    if RUNNING.free_threaded:  # whose import has another suffix for the stable ABI, or none
        pytest.skip("a free-threaded CPython runs the tests")
    result = results(run(path))["pkg._ops"]
    assert result.outcome is outcome
    assert reason in result.reason


class TestRequirements:
    """What a wheel needs from other distributions, from a directory in place of an index."""

    @pytest.fixture
    def needy(self, tmp_path: Path) -> Path:
        files = {"pkg/__init__.py": "import helper\n", **extension("pkg/_c")}
        return wheel(tmp_path / "dist", files, metadata_extra="Requires-Dist: wheelfuse-test-helper")

    @pytest.fixture
    def links(self, tmp_path: Path) -> Path:
        build_wheel(
            tmp_path / "links",
            tag="py3-none",
            platform="any",
            name="wheelfuse_test_helper",
            files={"helper.py": ""},
        )
        return tmp_path / "links"

    def test_they_are_installed(self, needy: Path, links: Path) -> None:
        assert outcomes(run(needy, find_links=(links,))) == {"pkg._c": Outcome.OK}

    def test_that_they_cannot_be_installed_is_a_failure(self, needy: Path) -> None:
        trial = run(needy)
        assert trial.installation.outcome is Outcome.FAILED
        assert trial.installation.reason == "what it requires, or --with asks for, could not be installed"
        assert "wheelfuse-test-helper" in trial.installation.output
        assert outcomes(trial) == {"pkg._c": Outcome.NOT_VERIFIED}

    def test_without_them_nothing_is_proved(self, needy: Path) -> None:
        result = results(run(needy, no_deps=True))["pkg._c"]
        assert result.outcome is Outcome.NOT_VERIFIED
        assert result.reason.startswith("importing pkg: ModuleNotFoundError: No module named 'helper'")
        assert result.reason.endswith("(not installed: --no-deps)")

    def test_one_that_is_not_stated_is_missed(self, tmp_path: Path, links: Path) -> None:
        path = wheel(tmp_path, {"pkg/__init__.py": "import helper\n", **extension("pkg/_c")})
        for options in ({}, {"no_deps": True}):
            result = results(run(path, **options))["pkg._c"]
            assert result.outcome is Outcome.FAILED
            assert "nothing that the wheel requires brings it" in result.reason
        helper = next(links.iterdir())
        assert outcomes(run(path, no_deps=True, with_=(str(helper),))) == {"pkg._c": Outcome.OK}

    def test_markers_are_those_of_the_cpython(self, tmp_path: Path) -> None:
        marker = f"Requires-Dist: nowhere-to-be-found; python_version != '{RUNNING.python_version}'"
        path = wheel(
            tmp_path, extension("_c"), metadata_extra=f"{marker}\nRequires-Dist: neither; extra == 'x'"
        )
        assert not run(path).failed

    def test_what_left_the_standard_library_is_a_failure(self, tmp_path: Path) -> None:
        files = {
            "pkg/__init__.py": "raise ModuleNotFoundError('gone', name='distutils')\n",
            **extension("pkg/_c"),
        }
        path = wheel(tmp_path, files, metadata_extra="Requires-Dist: something")
        assert outcomes(run(path, no_deps=True)) == {"pkg._c": Outcome.FAILED}


class TestLibrariesOfOthers:
    """A module that links libtorch.so: is it the wheel's fault that it is not found?"""

    def torch(self, directory: Path) -> Path:
        """A distribution torch whose import opens its library, for all to see."""
        source = (
            "import ctypes, os\nctypes.CDLL(os.path.dirname(__file__) + '/libtorch.so', ctypes.RTLD_GLOBAL)\n"
        )
        content = library("int answer(void) { return 42; }", "libtorch.so")
        return wheel(
            directory,
            {"torch/__init__.py": source, "torch/libtorch.so": content},
            name="torch",
            version="2.99",
        )

    def test_with_no_deps_nothing_is_proved(self, tmp_path: Path) -> None:
        path = wheel(tmp_path, linked("_c", "libtorch.so"), metadata_extra="Requires-Dist: torch")
        result = results(run(path, no_deps=True))["_c"]
        assert result.outcome is Outcome.NOT_VERIFIED
        assert "libtorch.so: cannot open shared object file" in result.reason
        assert "it comes from torch, which is not installed: --no-deps" in result.reason

    def test_a_wheel_that_does_not_require_it_fails(self, tmp_path: Path) -> None:
        result = results(run(wheel(tmp_path, linked("_c", "libtorch.so"))))["_c"]
        assert result.outcome is Outcome.FAILED
        assert "it comes from torch, which the wheel does not require" in result.reason

    def test_torch_is_imported_first_as_its_users_do(self, tmp_path: Path) -> None:
        torch = self.torch(tmp_path / "torch")
        result = results(run(wheel(tmp_path, linked("_c", "libtorch.so")), with_=(str(torch),)))["_c"]
        assert result.outcome is Outcome.OK
        assert result.reason == "loads once torch was imported, and not by itself"

    def test_a_library_that_is_installed_but_out_of_reach_is_a_failure(self, tmp_path: Path) -> None:
        name, soname = "tensorflow", "libtensorflow_framework.so.2"
        runtime = wheel(tmp_path / "other", {f"tensorflow/{soname}": library("int x;", soname)}, name=name)
        path = wheel(tmp_path, linked("_c", soname))
        result = results(run(path, no_deps=True, with_=(str(runtime),)))["_c"]
        assert result.outcome is Outcome.FAILED
        assert "tensorflow has it and is installed, but the file does not find it" in result.reason

    def test_its_own_library_out_of_reach_is_a_failure(self, tmp_path: Path) -> None:
        own = {"pkg/libtorch.so": library("int answer(void) { return 42; }", "libtorch.so")}
        path = wheel(tmp_path, linked("pkg/_c", "libtorch.so") | own, metadata_extra="Requires-Dist: torch")
        assert outcomes(run(path, no_deps=True)) == {"pkg._c": Outcome.FAILED}
        path = wheel(tmp_path / "good", linked("pkg/_c", "libtorch.so", runpath="$ORIGIN") | own)
        assert outcomes(run(path, no_deps=True)) == {"pkg._c": Outcome.OK}

    def test_a_machine_without_a_gpu_driver_proves_nothing(self, tmp_path: Path) -> None:
        driver = ("libnvoptix.so.1", "libnvidia-opticalflow.so.1", "libnvidia-encode.so.1", "libcuda.so.1")
        absent = next(soname for soname in driver if not find_library(soname[3:-5]))
        path = wheel(tmp_path, linked("_c", absent))
        result = results(run(path))["_c"]
        assert (result.outcome, "part of the GPU driver" in result.reason) == (Outcome.NOT_VERIFIED, True)


class TestWhatIsNotVerified:
    def test_a_cpython_that_is_not_on_the_machine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        absent = Target(13, free_threaded=not RUNNING.free_threaded)
        future = Target(17)
        targets = (RUNNING, absent, future)
        path = wheel(tmp_path, extension("_c", *targets), targets)
        bare(tmp_path, monkeypatch)
        outcome = verify(path, VerifyOptions(offline=True))
        by_target = {trial.target: trial for trial in outcome.trials}
        assert outcomes(by_target[RUNNING]) == {"_c": Outcome.OK}
        assert [result.outcome for result in by_target[absent].results] == [Outcome.NOT_VERIFIED] * 2
        assert by_target[absent].installation.reason.startswith("no CPython 3.13")
        assert [wheel.unreleased for wheel in outcome.wheels] == [(future,)]
        assert outcome.exit_code == 0
        assert verify(path, VerifyOptions(offline=True, require_all=True)).exit_code == 5

    def test_a_cpython_that_was_not_asked_for(self, tmp_path: Path) -> None:
        targets = (RUNNING, OTHER)
        path = wheel(tmp_path, extension("_c", *targets), targets)
        outcome = verify(path, VerifyOptions((Path(sys.executable),), offline=True))
        assert [trial.target for trial in outcome.trials] == [RUNNING]
        assert [wheel.unasked for wheel in outcome.wheels] == [(OTHER,)]
        assert outcome.exit_code == 0
        assert verify(path, VerifyOptions(HERE, offline=True, require_all=True)).exit_code == 5

    @pytest.mark.parametrize(
        "tag", ["musllinux_1_2_x86_64", "manylinux_2_17_s390x", "manylinux_2_99_x86_64", "win_amd64"]
    )
    def test_a_wheel_for_another_machine(self, tmp_path: Path, tag: str) -> None:
        if platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64":
            pytest.skip("the tags are chosen for glibc on x86_64")
        path = wheel(tmp_path / "other", extension("_c"), platform=tag)
        outcome = verify(path, VerifyOptions(HERE))
        [trial] = outcome.trials
        assert {result.outcome for result in trial.results} == {Outcome.NOT_VERIFIED}
        assert trial.installation.reason.startswith(
            f"it is for {tag}, and this machine is x86_64 with glibc 2."
        )
        assert outcome.nothing_verified
        assert outcome.exit_code == 5
        mine = wheel(tmp_path / "mine", extension("_c"))
        assert verify([path, mine], VerifyOptions(HERE, offline=True)).exit_code == 0

    def test_nothing_runs_that_the_wheel_does_not_claim(self, tmp_path: Path) -> None:
        outcome = verify(wheel(tmp_path, extension("_c", OTHER), (OTHER,)), VerifyOptions(HERE))
        assert (outcome.trials, outcome.exit_code) == ((), 5)


class TestCommand:
    def test_it_works_in_the_environment_and_away_from_the_sources(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shadow = tmp_path / "shadow"
        shadow.mkdir()
        (shadow / "_c.py").write_text("raise ValueError('shadowed')")
        monkeypatch.setenv("PYTHONPATH", str(shadow))
        monkeypatch.chdir(shadow)
        path = wheel(tmp_path, extension("_c"))
        check = "import _c, os, sys; print(_c.__file__, sys.prefix, os.environ['VIRTUAL_ENV'], os.getcwd())"
        trial = run(path, command=f'python -c "{check}" && ls {{project}} && echo "[$PYTHONPATH]"')
        assert trial.command
        assert trial.command.outcome is Outcome.OK, trial.command.output
        file, prefix, environment, work, *rest = trial.command.output.split()
        assert Path(file).is_relative_to(environment)
        assert prefix == environment
        assert not shadow.is_relative_to(work)
        assert rest == ["_c.py", "[]"]
        assert outcomes(trial) == {"_c": Outcome.OK}

    @pytest.mark.parametrize(
        ("command", "outcome", "reason"),
        [
            ("echo done; exit 3", Outcome.FAILED, "exit status 3"),
            ("kill -SEGV $$", Outcome.CRASHED, "killed by SIGSEGV"),
            ("python -c 'import os; os.abort()'; exit $?", Outcome.CRASHED, "killed by SIGABRT"),
            ("sleep 600", Outcome.HUNG, "it did not end within 1 s"),
        ],
    )
    def test_how_it_ends(self, tmp_path: Path, command: str, outcome: Outcome, reason: str) -> None:
        trial = run(wheel(tmp_path, extension("_c")), command=command, command_timeout=1)
        assert trial.command
        assert (trial.command.outcome, trial.command.reason) == (outcome, reason)
        assert trial.failed


def test_the_environments_can_be_kept(tmp_path: Path) -> None:
    path = wheel(tmp_path, extension("_c"))
    options = VerifyOptions(HERE, offline=True)
    verify(path, options, keep=tmp_path / "kept")
    python = tmp_path / "kept" / path.stem / str(RUNNING) / "bin" / "python"
    code = "import _c; print(_c.built_for)"
    assert subprocess.check_output([python, "-c", code], text=True) == f"{RUNNING}\n"
    with pytest.raises(UsageError, match="exists already"):
        verify(path, options, keep=tmp_path / "kept")


def test_wheels_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    paths = [wheel(tmp_path / place, extension("_c")) for place in ("a", "b")]
    outcome = verify(paths, VerifyOptions(HERE, offline=True), keep=tmp_path / "kept")
    assert outcome.exit_code == 0
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {paths[0].stem, f"{paths[0].stem} (2)"}


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    run(wheel(tmp_path, extension("_c")), command="touch file; echo $PWD")
    assert not list((tmp_path / "scratch").iterdir())


def test_an_interrupt_ends_the_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"import os, time\nopen({str(pid_file)!r}, 'w').write(f'{{os.getpid()}}.')\ntime.sleep(600)\n"
    path = wheel(tmp_path, {"pkg/__init__.py": source, **extension("pkg/_c")})
    command = [sys.executable, "-m", "wheelfuse", "verify", str(path), "--offline", "--python", str(RUNNING)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not (pid_file.exists() and pid_file.read_text().endswith(".")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()[:-1]), 0)


@pytest.mark.parametrize("name", ["no-such-1.0-py3-none-any.whl", "text-1.0-py3-none-any.whl", "text.txt"])
def test_an_input_that_cannot_be_read_stops_the_run_before_it_begins(tmp_path: Path, name: str) -> None:
    for text in ("text-1.0-py3-none-any.whl", "text.txt"):
        (tmp_path / text).write_text("text")
    with pytest.raises(InvalidInput):
        verify([tmp_path / name, wheel(tmp_path, extension("_c"))], VerifyOptions(command="exit 7"))


@pytest.mark.parametrize("python", ["no/such/python", "/dev", "/bin/sh"])
def test_a_python_that_is_none_is_refused(tmp_path: Path, python: str) -> None:
    with pytest.raises(UsageError, match=python):
        verify(wheel(tmp_path, extension("_c")), VerifyOptions((Path(python),)))


def test_a_directory_stands_for_its_wheels_and_each_is_verified_once(tmp_path: Path) -> None:
    first, second = (wheel(tmp_path, extension("_c"), name=name) for name in ("one", "two"))
    outcome: Verification = verify([tmp_path, first], VerifyOptions(HERE, offline=True))
    assert [item.path for item in outcome.wheels] == [first, second]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no wheels in this directory"):
        verify(empty)
    with pytest.raises(UsageError, match="nothing to verify"):
        verify([])


def test_settings_that_help_a_module_to_its_libraries_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    (tmp_path / "libown.so").write_bytes(library("int answer(void) { return 42; }", "libown.so"))
    outcome = verify(wheel(tmp_path, linked("_c", "libown.so")), VerifyOptions(HERE, offline=True))
    assert outcome.exit_code == 0
    assert [warning.split()[0] for warning in outcome.warnings] == ["LD_LIBRARY_PATH"]


def test_a_module_that_turns_the_gil_on_is_told(tmp_path: Path) -> None:
    target = next((target for target in available() if target.free_threaded), None)
    if target is None:
        pytest.skip("no free-threaded CPython on this machine")
    files = extension("_gil", target) | extension("_good", target)
    outcome = verify(wheel(tmp_path, files, (target,)), VerifyOptions((target,), offline=True))
    [trial] = outcome.trials
    told = {name: (result.outcome, result.reason) for name, result in results(trial).items()}
    assert told == {"_gil": (Outcome.OK, "the GIL was turned on for it"), "_good": (Outcome.OK, "")}
