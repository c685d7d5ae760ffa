"""What an operator probably meant by a key that does not exist.

Tried in this order: another spelling of a key, what other servers call it, the
same name in another table, a close name in the same table, a close name anywhere.
"""

from __future__ import annotations

import difflib

from forkhttp.config.keys import ENV, ENVIRONMENT_PREFIX, KEYS, LISTENER, LISTENER_KEYS, TABLES, VARIABLES

#: Names in gunicorn, uWSGI, waitress, uvicorn, unicorn, puma and nginx, and the key of the same use.
ELSEWHERE = {
    "access_log": "log.access",
    "access_log_format": "log.format",
    "access_logfile": "log.access",
    "accesslog": "log.access",
    "address": "bind",
    "app": "target",
    "application": "target",
    "certfile": "tls.certificate",
    "channel_timeout": "timeouts.keep_alive",
    "client_body_timeout": "timeouts.body",
    "client_header_timeout": "timeouts.head",
    "client_max_body_size": "limits.body",
    "connection_limit": "limits.connections",
    "cwd": "chdir",
    "document_root": "directory",
    "environment": "env",
    "error_log": "log.error",
    "error_logfile": "log.error",
    "errorlog": "log.error",
    "forwarded_allow_ips": "proxy.trusted",
    "gid": "group",
    "graceful_timeout": "timeouts.stop_drain",
    "harakiri": "timeouts.stall",
    "host": "bind",
    "http_socket": "bind",
    "ident": "http.server_header",
    "keep_alive_timeout": "timeouts.keep_alive",
    "keepalive": "timeouts.keep_alive",
    "keepalive_requests": "limits.keep_alive_requests",
    "keepalive_timeout": "timeouts.keep_alive",
    "keyfile": "tls.key",
    "limit_max_requests": "workers.max_requests",
    "limit_request_field_size": "limits.field",
    "limit_request_fields": "limits.fields",
    "limit_request_line": "limits.request_line",
    "listen": "bind",
    "log_file": "log.error",
    "log_format": "log.format",
    "logfile": "log.error",
    "loglevel": "log.level",
    "max_request_body_size": "limits.body",
    "max_requests_jitter": "workers.jitter",
    "module": "target",
    "pid": "pid_file",
    "pidfile": "pid_file",
    "port": "bind",
    "preload_app": "workers.preload",
    "proc_name": "title",
    "processes": "workers.count",
    "proxy_protocol": "proxy.protocol",
    "raw_env": "env",
    "reload_on_rss": "workers.max_memory",
    "root": "directory",
    "script": "target",
    "send_timeout": "timeouts.send",
    "server_tokens": "http.server_header",
    "socket": "bind",
    "ssl_certificate": "tls.certificate",
    "ssl_certificate_key": "tls.key",
    "ssl_certfile": "tls.certificate",
    "ssl_keyfile": "tls.key",
    "stats": "admin.bind",
    "statsd_host": "admin.bind",
    "timeout": "timeouts.stall",
    "timeout_graceful_shutdown": "timeouts.stop_drain",
    "timeout_keep_alive": "timeouts.keep_alive",
    "trusted_proxy": "proxy.trusted",
    "uid": "user",
    "unix_socket": "bind",
    "worker_connections": "limits.connections",
    "worker_processes": "workers.count",
    "working_directory": "chdir",
    "wsgi": "target",
    "wsgi_app": "target",
    "wsgi_file": "target",
}

#: What other servers have and forkhttp does without, with the reason.
NOT_NEEDED = {
    "daemon": "forkhttp stays in the foreground; let systemd, or a shell's &, do the rest",
    "daemonize": "forkhttp stays in the foreground; let systemd, or a shell's &, do the rest",
    "master": "there is always a master",
    "reuse_port": "the master binds once, and all workers share its sockets",
    "worker_class": "there is one kind of worker",
    "worker_tmp_dir": "workers show that they live in shared memory, not in a file",
}

#: A table that was written as if it were a key, and the key of the same use.
TABLE_AS_KEY = {
    "admin": "admin.bind",
    "hooks": "hooks.worker_start",
    "log": "log.error",
    "proxy": "proxy.trusted",
    "static": "directory",
    "timeouts": "timeouts.stall",
    "tls": "tls.certificate",
    "workers": "workers.count",
}

_NAMES = (*KEYS, ENV)


def suggest_key(name: str, value: object = None) -> str:
    """End a sentence about an unknown dotted name: what was meant, or nothing.

    Args:
        name: as it was given, in whatever spelling.
        value: what it was set to; a table is compared with tables.
    """
    plain = _plain(name)
    last = plain.rpartition(".")[2]
    if last in NOT_NEEDED:
        return f"; {NOT_NEEDED[last]}"
    if isinstance(value, (dict, list)) and "." not in plain:
        close = difflib.get_close_matches(plain, (*TABLES, ENV, LISTENER), n=1)
        if close:
            return _did_you_mean(f"[[{LISTENER}]]" if close[0] == LISTENER else f"[{close[0]}]")
    return _did_you_mean(*_meant_keys(plain))


def suggest_listener_key(name: str) -> str:
    """End a sentence about an unknown name in a ``[[listener]]`` table."""
    plain = _plain(name)
    close = [ELSEWHERE[plain]] if ELSEWHERE.get(plain) in LISTENER_KEYS else None
    return _did_you_mean(*(close or difflib.get_close_matches(plain, LISTENER_KEYS, n=1)))


def suggest_variable(name: str) -> str:
    """End a sentence about an unknown name in the environment."""
    # The prefix that all have in common would make all of them close.
    known = {variable.removeprefix(ENVIRONMENT_PREFIX): variable for variable in VARIABLES}
    close = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), known, n=1, cutoff=0.75)
    return _did_you_mean(*(known[name] for name in close))


def _did_you_mean(*names: str) -> str:
    """Put names into the question, or ask nothing."""
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _meant_keys(plain: str) -> list[str]:
    """List the keys that were meant, mostly one."""
    table, _, last = plain.rpartition(".")
    # WORKERS-COUNT, workers_count and "workers.count" are workers.count.
    joined = plain.replace(".", "_")
    spelled = [key for key in _NAMES if key.replace(".", "_") == joined]
    if spelled:
        return spelled
    if last in ELSEWHERE:
        return [ELSEWHERE[last]]
    elsewhere = [key for key in _NAMES if key.rpartition(".")[2] == last]
    if elsewhere:
        return elsewhere
    beside = {key.last: key.name for key in KEYS.values() if key.table == table}
    close = difflib.get_close_matches(last, beside, n=1, cutoff=0.7)
    if close:
        return [beside[close[0]]]
    close = difflib.get_close_matches(plain, _NAMES, n=1, cutoff=0.7)
    if close:
        return close
    anywhere = {key.last: key.name for key in KEYS.values()}
    return [anywhere[name] for name in difflib.get_close_matches(last, anywhere, n=1, cutoff=0.75)]


def _plain(name: str) -> str:
    """Spell a name as forkhttp spells its own."""
    return name.strip().lower().replace("-", "_").replace('"', "")
