"""What operators say, read and checked: the file, the environment and the command line.

``load(Sources(…))`` gives a ``Configuration`` or a ``ConfigError`` with every fault
that was found. Called by the command line, and by the master at each reload.
"""

from __future__ import annotations

from forkhttp.config.addresses import (
    Address,
    DescriptorAddress,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)
from forkhttp.config.gathering import Option
from forkhttp.config.loading import Configuration, Sources, load, named_pid_file
from forkhttp.config.values import Typed

__all__ = [
    "Address",
    "Configuration",
    "DescriptorAddress",
    "Option",
    "Sources",
    "SystemdAddress",
    "TcpAddress",
    "Typed",
    "UnixAddress",
    "load",
    "named_pid_file",
    "parse_address",
]
