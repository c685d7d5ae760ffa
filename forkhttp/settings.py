"""What forkhttp is told: one frozen class for each table of the configuration file.

A key stands here once, with its type, default and meaning; the annotated
reference ``conf/forkhttp.toml``, ``forkhttp check --print`` and the README are
compared with it. Values are checked by their types (``msgspec``), key by key;
what needs several keys or the machine to judge is checked by
``forkhttp.config``, which also reads the file and the environment.

Durations are seconds as ``float``, sizes are octets.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: The longest duration, a year: sums of a few of them stay far from the ends of what clocks and epoll take.
YEAR = 31_536_000
#: The largest number: it fits a cell of the scoreboard, and so does a sum of two.
MOST = (1 << 62) - 1

#: A duration that may be nothing.
Seconds = Annotated[float, Meta(ge=0, le=YEAR, extra={"unit": "seconds"})]
#: A duration that would break everything if it were nothing.
SomeSeconds = Annotated[float, Meta(gt=0, le=YEAR, extra={"unit": "seconds"})]
#: A number of things.
Count = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[int, Meta(ge=1, le=MOST)]
#: A size.
Octets = Annotated[int, Meta(ge=0, le=MOST, extra={"unit": "octets"})]
SomeOctets = Annotated[int, Meta(ge=1, le=MOST, extra={"unit": "octets"})]
#: Worker processes: two generations at once, and a few that retire, fit the 1024 rows of the scoreboard.
Processes = Annotated[int, Meta(ge=1, le=480)]
#: A queue length: the kernel cuts it down to net.core.somaxconn, and kernels before 4.1 kept 16 bits of it.
Backlog = Annotated[int, Meta(ge=1, le=65535)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the configuration; every field is a key with its default."""


class Workers(Table, frozen=True, kw_only=True):
    """How many processes answer requests, and how long each of them lives."""

    count: Annotated[
        Processes | Literal["auto"],
        Meta(description="Worker processes; auto: the CPUs that the cgroup and the affinity allow."),
    ] = "auto"
    threads: Annotated[Positive, Meta(description="Threads a worker may run handlers on.")] = 1
    preload: Annotated[
        bool, Meta(description="Import the application once, in a template that forks the workers.")
    ] = False
    probe: Annotated[
        str,
        Meta(description="A request target that a new worker must answer with 2xx or 3xx to be ready."),
    ] = ""
    max_requests: Annotated[Count, Meta(description="Recycle a worker after so many requests; 0: never.")] = 0
    max_age: Annotated[Seconds, Meta(description="Recycle a worker after so many seconds; 0: never.")] = 0.0
    max_memory: Annotated[
        Octets, Meta(description="Recycle a worker whose own memory (USS) passes so many octets; 0: never.")
    ] = 0
    jitter: Annotated[
        float,
        Meta(ge=0, le=1, description="Spread the three limits above by up to this fraction."),
    ] = 0.1


class Timeouts(Table, frozen=True, kw_only=True):
    """How long each phase may take, in seconds."""

    head: Annotated[SomeSeconds, Meta(description="From a request's first octet to the end of its head.")] = (
        10.0
    )
    body: Annotated[SomeSeconds, Meta(description="Without an octet of a body that is awaited.")] = 30.0
    send: Annotated[SomeSeconds, Meta(description="Without the peer taking an octet of the answer.")] = 30.0
    keep_alive: Annotated[
        Seconds, Meta(description="An idle connection is kept so long; longer than the proxy keeps its own.")
    ] = 75.0
    stall: Annotated[
        Seconds,
        Meta(
            description="Outside tunnels, a handler without progress gets a 504 and its worker is replaced;"
            " 0: never."
        ),
    ] = 60.0
    kill: Annotated[
        Seconds, Meta(description="After stall, or a stop's end, before the worker is killed.")
    ] = 5.0
    boot: Annotated[SomeSeconds, Meta(description="For a new worker to load the application.")] = 60.0
    quiesce: Annotated[Seconds, Meta(description="At a stop: unready, but still accepting.")] = 0.0
    stop_drain: Annotated[Seconds, Meta(description="At a stop: for running requests to end.")] = 25.0
    reload_drain: Annotated[
        Seconds, Meta(description="After a reload: for the old workers' running requests to end.")
    ] = 300.0
    linger: Annotated[
        Seconds,
        Meta(
            description="At a close: for a peer that still sends to read the last answer; between the octets"
            " of a body that it announced, else in all."
        ),
    ] = 2.0


class Limits(Table, frozen=True, kw_only=True):
    """How much a peer may ask for, in octets where nothing else is said."""

    request_line: Annotated[SomeOctets, Meta(description="A request line; longer: 414.")] = 8190
    field: Annotated[SomeOctets, Meta(description="One field line of a head; longer: 431.")] = 8190
    fields: Annotated[Positive, Meta(description="Field lines in a head; more: 431.")] = 100
    body: Annotated[Octets, Meta(description="A request body; longer: 413.")] = 1 << 30
    buffered_body: Annotated[
        Octets, Meta(description="Of a body, what is awaited before the handler is entered.")
    ] = 64 << 10
    min_rate: Annotated[
        Count, Meta(description="Octets a second, on average, that a body or an answer must move; 0: any.")
    ] = 500
    connections: Annotated[
        Count, Meta(description="Connections a worker holds at most; 0: what its descriptors allow.")
    ] = 0
    keep_alive_requests: Annotated[
        Count, Meta(description="Requests on one connection before it is closed; 0: no limit.")
    ] = 0


class Http(Table, frozen=True, kw_only=True):
    """How forkhttp speaks."""

    persistent: Annotated[
        Literal["always", "declared"],
        Meta(description="Connections persist always, or only where the class declares HTTP/1.1."),
    ] = "always"
    server_header: Annotated[
        str | bool,
        Meta(description="The Server field: true for the handler's own, false for none, or a text."),
    ] = True
    early_hints: Annotated[
        bool,
        Meta(
            description="Let handlers send 103 Early Hints; not behind nginx before 1.29: it hangs on them."
        ),
    ] = True


class Log(Table, frozen=True, kw_only=True):
    """What is written where: a path, stdout, stderr or off."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe event to write.")
    ] = "info"
    error: Annotated[str, Meta(description="Where events and tracebacks go.")] = "stderr"
    access: Annotated[str, Meta(description="Where one line for each answered request goes.")] = "stdout"
    format: Annotated[str, Meta(description="The access line: combined, json, or a pattern.")] = "combined"
    slow_request: Annotated[
        Seconds, Meta(description="Log the stack of a request that takes longer; 0: never.")
    ] = 0.0


class Proxy(Table, frozen=True, kw_only=True):
    """Whose word about the client is believed."""

    trusted: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses, networks or unix, of the proxies in front; forwarded fields of all others"
            " are removed."
        ),
    ] = ()
    headers: Annotated[
        Literal["x-forwarded", "forwarded", "none"],
        Meta(description="The forwarded fields that they write; those of the other kind are removed."),
    ] = "x-forwarded"
    protocol: Annotated[
        Literal["off", "v1", "v2"],
        Meta(
            description="The PROXY protocol that each connection of a trusted peer must begin with, once,"
            " within timeouts.head; without it: 400."
        ),
    ] = "off"


class Tls(Table, frozen=True, kw_only=True):
    """What the listeners prove themselves with."""

    certificate: Annotated[str, Meta(description="Path of the certificate chain, PEM.")] = ""
    key: Annotated[str, Meta(description="Path of its private key, PEM; empty: with the chain.")] = ""


class Admin(Table, frozen=True, kw_only=True):
    """The status page and the metrics."""

    bind: Annotated[str, Meta(description="Address of the admin worker; empty: none.")] = ""


class Hooks(Table, frozen=True, kw_only=True):
    """Dotted names of functions that workers and template call."""

    worker_start: Annotated[str, Meta(description="Called in a worker before its application loads.")] = ""
    worker_ready: Annotated[str, Meta(description="Called in a worker once it may serve.")] = ""
    worker_exit: Annotated[str, Meta(description="Called in a worker before it leaves.")] = ""
    template_loaded: Annotated[
        str, Meta(description="Called in a template after the application loaded.")
    ] = ""


class Static(Table, frozen=True, kw_only=True):
    """How SimpleHTTPRequestHandler treats files."""

    cache: Annotated[str, Meta(description="The Cache-Control field of files; empty: none.")] = ""
    listing: Annotated[bool, Meta(description="List directories that have no index page.")] = True


class Listener(Table, frozen=True, kw_only=True):
    """One more address, with properties of its own; the table may be repeated."""

    bind: Annotated[str, Meta(description="The address, written as in the key bind above.")]
    mode: Annotated[
        str,
        Meta(pattern="^0?[0-7]{3}$", examples=["0660"], description="Permissions of a unix socket, octal."),
    ] = "0660"
    owner: Annotated[str, Meta(description="Owner of a unix socket; empty: who starts forkhttp.")] = ""
    group: Annotated[str, Meta(description="Group of a unix socket; empty: who starts forkhttp.")] = ""
    tls: Annotated[bool, Meta(description="Speak TLS here, with the certificate of [tls].")] = False


class Settings(Table, frozen=True, kw_only=True):
    """Everything forkhttp is told, checked."""

    target: Annotated[
        str,
        Meta(description="What is served: module:attribute or path/to/file.py:attribute; empty: files."),
    ] = ""
    bind: Annotated[
        str | tuple[str, ...],
        Meta(description="host:port, :port, [v6]:port, unix:/path, unix:@abstract, fd:N or systemd."),
    ] = "127.0.0.1:8000"
    server_class: Annotated[
        str, Meta(description="Dotted name of the HTTPServer class; empty: forkhttp's own.")
    ] = ""
    directory: Annotated[str, Meta(description="What is served without a target; empty: chdir.")] = ""
    chdir: Annotated[str, Meta(description="The workers' directory; empty: where forkhttp was started.")] = ""
    pythonpath: Annotated[
        tuple[str, ...], Meta(description="Directories to import from, before all others.")
    ] = ()
    pid_file: Annotated[str, Meta(description="Where the master writes its pid; empty: nowhere.")] = ""
    user: Annotated[str, Meta(description="Whom the workers become when root starts forkhttp.")] = ""
    group: Annotated[str, Meta(description="The workers' group; empty: the user's own groups.")] = ""
    umask: Annotated[
        str,
        Meta(
            pattern="^(0?[0-7]{3})?$",
            examples=["0027"],
            description="Of master and workers, octal; empty: as started.",
        ),
    ] = ""
    title: Annotated[str, Meta(description="How the processes name themselves.")] = "forkhttp"
    backlog: Annotated[
        Backlog, Meta(description="Connections that the kernel holds until a worker accepts them.")
    ] = 1024
    env: Annotated[dict[str, str], Meta(description="Environment variables for the workers.")] = (
        msgspec.field(default_factory=dict)
    )
    workers: Workers = Workers()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    http: Http = Http()
    log: Log = Log()
    proxy: Proxy = Proxy()
    tls: Tls = Tls()
    admin: Admin = Admin()
    hooks: Hooks = Hooks()
    static: Static = Static()
    listener: tuple[Listener, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of ``bind``, one or several."""
        return (self.bind,) if isinstance(self.bind, str) else self.bind
