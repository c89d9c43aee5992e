"""The rows of what could not be read."""

from __future__ import annotations

from hashlib import blake2b

from wheelfuse.errors import InvalidInput
from wheelfuse.escape import as_bytes
from wheelfuse.surveying.rows import Remote, Rows, WheelRow
from wheelfuse.wheel.name import WheelName

FAILED, READ = "failed", "read"
"""What the status of a wheel may be."""


def identifier(url: str, identity: str) -> str:
    """Which wheel rows are of: 16 hexadecimal digits."""
    return blake2b(as_bytes(url) + b"\0" + as_bytes(identity), digest_size=8).hexdigest()


def failed(remote: Remote, reason: str, *, fetched: int = 0, requests: int = 0) -> Rows:
    """The row of a wheel that cannot be read, with what its name tells."""
    try:
        name = WheelName.parse(remote.name)
    except InvalidInput:
        name = None
    return Rows(
        WheelRow(
            id=identifier(remote.url, remote.identity),
            url=remote.url,
            file=remote.name,
            identity=remote.identity,
            status=FAILED,
            reason=reason,
            project=name.project[0] if name else None,
            version=name.version if name else None,
            build=(name.build or None) if name else None,
            python_tags=name.pythons if name else (),
            abi_tags=name.abis if name else (),
            platform_tags=name.platforms if name else (),
            size=remote.size,
            fetched=fetched,
            requests=requests,
            requires_python=None,
            generator=None,
            members=0,
            unpacked=0,
            shared_objects=0,
            whole=0,
            problems=(),
            targets=(),
            uncovered=(),
            glibc=None,
            glibc_claimed=None,
            torch=None,
        )
    )
