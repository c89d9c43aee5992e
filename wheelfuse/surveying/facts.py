"""What a survey keeps, made of what is known of a wheel: the same functions answer here that answer in an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wheelfuse.abi.cpython import is_cpython_symbol
from wheelfuse.abi.limited_api import lowest_limited_api
from wheelfuse.auditing import coverage, cpython_symbols, libtorch, platform
from wheelfuse.auditing.subject import Subject
from wheelfuse.surveying.failed import READ, identifier
from wheelfuse.surveying.rows import MemberRow, ModuleRow, Remote, Rows, SymbolRow, WheelRow
from wheelfuse.wheel.wheel import Statements


def rows_of(
    remote: Remote,
    subject: Subject,
    said: Statements,
    whole: frozenset[str],
    identity: str,
    *,
    fetched: int,
    requests: int,
) -> Rows:
    """The rows of a wheel that was read; *whole* are its shared objects that were read to their end."""
    number = identifier(remote.url, remote.identity or identity)
    return Rows(
        _wheel(number, remote, subject, whole, remote.identity or identity, fetched, requests),
        tuple(_modules(number, subject, said, whole)),
        tuple(_symbols(number, subject)),
        tuple(_members(number, said)),
    )


def _wheel(
    number: str,
    remote: Remote,
    subject: Subject,
    whole: frozenset[str],
    identity: str,
    fetched: int,
    requests: int,
) -> WheelRow:
    name = subject.name
    assert name  # a wheel has one
    project, _ = name.project
    found = (*subject.problems, *subject.unreadable)
    claimed = [tag.version for tag in subject.linux_platforms if tag.libc == "glibc"]
    return WheelRow(
        id=number,
        url=remote.url,
        file=remote.name,
        identity=identity,
        status=READ,
        reason=None,
        project=project,
        version=name.version,
        build=name.build or None,
        python_tags=name.pythons,
        abi_tags=name.abis,
        platform_tags=name.platforms,
        size=subject.size,
        fetched=fetched,
        requests=requests,
        requires_python=subject.requires_python or None,
        generator=(subject.wheel_file.generator or None) if subject.wheel_file else None,
        members=len(subject.sizes),
        unpacked=sum(subject.sizes.values()),
        shared_objects=len(subject.files),
        whole=len(whole),
        problems=tuple(f"{p.member}: {p.what}" if p.member else p.what for p in found),
        targets=tuple(map(str, subject.known_targets)),
        uncovered=tuple(map(str, coverage.without_any(coverage.matrix(subject)))),
        glibc=_lowest(subject),
        glibc_claimed=_spelled(min(claimed)) if claimed else None,
        torch=libtorch.torch_versions(subject),
    )


def _lowest(subject: Subject) -> str | None:
    versions = [file.floor.version for file in platform.needs(subject).deciding if file.floor.version]
    return _spelled(max(versions)) if versions else None


def _spelled(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _modules(number: str, subject: Subject, said: Statements, whole: frozenset[str]) -> Iterator[ModuleRow]:
    floors = {file.path: file.floor.version for file in platform.needs(subject).files if file.libc == "glibc"}
    for path, file in sorted(subject.files.items()):
        module, image = file.module, file.image
        asked = cpython_symbols.asked(subject, path)
        limited = None if not asked or cpython_symbols.unlimited(asked) else lowest_limited_api(asked)
        floor, torch = floors.get(path), libtorch.needs(subject, path)
        yield ModuleRow(
            id=number,
            path=path,
            module=module.name if module else None,
            target=str(module.target) if module and module.target else None,
            stable_abi=(module.stable_abi or None) if module else None,
            size=file.size,
            packed=said.members[path].compressed_size,
            whole=path in whole,
            machine=image.machine,
            needed=tuple(sorted(image.needed)),
            glibc=_spelled(floor) if floor else None,
            imports=len(image.imports),
            exports=len(image.exports),
            python_symbols=len(asked),
            private_symbols=sum(name.startswith("_") for name in asked),
            limited_api=f"3.{limited}" if limited is not None else None,
            loaders=tuple(map(str, cpython_symbols.loaders(subject, path))),
            missing=tuple(
                " ".join((lack.symbol, *map(str, lack.targets)))
                for lack in cpython_symbols.missing(subject, path)
                if lack.symbol
            ),
            torch=torch.versions if torch else None,
        )


def _symbols(number: str, subject: Subject) -> Iterator[SymbolRow]:
    defined = Counter(name for file in subject.files.values() for name in file.image.exports)
    for path, file in sorted(subject.files.items()):
        torch, own = libtorch.needs(subject, path), file.image.exports
        names = frozenset(torch.names) if torch else frozenset()
        for symbol in file.image.imports:
            yield SymbolRow(
                id=number,
                path=path,
                symbol=symbol.name,
                version=symbol.version or None,
                weak=symbol.weak,
                own=defined[symbol.name] > (symbol.name in own),
                kind="cpython"
                if is_cpython_symbol(symbol.name)
                else "torch"
                if symbol.name in names
                else "other",
            )


def _members(number: str, said: Statements) -> Iterator[MemberRow]:
    for path, member in sorted(said.members.items()):
        row = (said.record or {}).get(path)
        digest = f"{row.algorithm}={row.digest}" if row and row.digest else None
        yield MemberRow(number, path, digest, member.size, member.compressed_size)
