"""Keys that are part of the design but not of this version: they may only have their defaults.

A key leaves this list when what it promises is built; nothing else knows of it.
"""

from __future__ import annotations

#: Dotted names; ``listener.tls`` stands for the key in every listener.
UNAVAILABLE = frozenset(
    {
        "admin.bind",
        "hooks.template_loaded",
        "hooks.worker_exit",
        "hooks.worker_ready",
        "hooks.worker_start",
        "listener.tls",
        "log.slow_request",
        "static.cache",
        "static.listing",
        "timeouts.quiesce",
        "tls.certificate",
        "tls.key",
        "workers.max_age",
        "workers.max_memory",
        "workers.max_requests",
        "workers.preload",
        "workers.probe",
        "workers.threads",
    }
)
