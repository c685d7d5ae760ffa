"""Fewer octets that still show a fault: what is committed should show nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def shrink(data: bytes, fails: Callable[[bytes], object]) -> bytes:
    """Take away what can be taken away while ``fails`` stays true: halves first, single octets last."""
    size = len(data)
    while size:
        at = 0
        while at < len(data):
            smaller = data[:at] + data[at + size :]
            if fails(smaller):
                data = smaller
            else:
                at += size
        size //= 2
    return data
