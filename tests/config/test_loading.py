"""Loading: what is said about mistakes, who overrides whom, and that nothing else is ever raised."""

from __future__ import annotations

import json
import os
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forkhttp.config import Configuration, Option, Sources, Typed, load, named_pid_file
from forkhttp.config.keys import KEYS, LISTENER_KEYS, TABLES, VARIABLES
from forkhttp.config.suggestions import ELSEWHERE, NOT_NEEDED, TABLE_AS_KEY
from forkhttp.config.unavailable import UNAVAILABLE
from forkhttp.errors import ConfigError
from forkhttp.settings import Listener, Settings


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").touch()


def loaded(
    text: str = "", environ: dict[str, str] | None = None, *options: tuple[str, object, str]
) -> Configuration:
    """Load a file with this text."""
    Path("f.toml").write_text(text, encoding="utf-8")
    return load(Sources(Path("f.toml"), environ or {}, options))


def faults(
    text: str = "", environ: dict[str, str] | None = None, *options: tuple[str, object, str]
) -> list[str]:
    """Load a file with this text; give its faults, or none."""
    try:
        loaded(text, environ, *options)
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    return []


#: A file with one mistake, and all that is said about it.
MISTAKES = [
    # Keys that do not exist.
    ("workers.cuont = 4", "1: workers.cuont: unknown key; did you mean workers.count?"),
    ("\ncount = 4", "2: count: unknown key; did you mean workers.count?"),
    ("[log]\ncount = 4", "2: log.count: unknown key; did you mean workers.count?"),
    ("body = 4", "1: body: unknown key; did you mean timeouts.body or limits.body?"),
    ("timeout = 30", "1: timeout: unknown key; did you mean timeouts.stall?"),
    ("keepalive = 5", "1: keepalive: unknown key; did you mean timeouts.keep_alive?"),
    (
        "[timeouts]\nkeep-alive = 5",
        "2: timeouts.keep-alive: unknown key; did you mean timeouts.keep_alive?",
    ),
    ("max-requests = 5", "1: max-requests: unknown key; did you mean workers.max_requests?"),
    ("log_level = 'info'", "1: log_level: unknown key; did you mean log.level?"),
    ('"workers.count" = 4', '1: "workers.count": unknown key; did you mean workers.count?'),
    ("worker_class = 'sync'", "1: worker_class: unknown key; there is one kind of worker"),
    ("limits.feilds = 5", "1: limits.feilds: unknown key; did you mean limits.fields?"),
    ("dirctory = '.'", "1: dirctory: unknown key; did you mean directory?"),
    ("admin.keep_alife = 5", "1: admin.keep_alife: unknown key; did you mean timeouts.keep_alive?"),
    ("limit.bdy = 5", "1: limit: unknown key; did you mean [limits]?"),
    ("[worker]\ncount = 5", "1: worker: unknown key; did you mean [workers]?"),
    ("[[listeners]]\nbind = ':1'", "1: listeners: unknown key; did you mean [[listener]]?"),
    ("[qqq]\nx = 5", "1: qqq: unknown key"),
    ("workers_cuont = 5", "1: workers_cuont: unknown key; did you mean workers.count?"),
    ("thread = 5", "1: thread: unknown key; did you mean workers.threads?"),
    ("qqq = 5", "1: qqq: unknown key"),
    # Values of another type.
    ("workers = 4", "1: workers: expected a table, got 4; did you mean workers.count = 4?"),
    ("workers = 'x'", '1: workers: expected a table, got "x"'),
    ("http = 4", "1: http: expected a table, got 4"),
    (
        "workers.count = 'four'",
        '1: workers.count: expected an integer from 1 to 480 or "auto", got "four"',
    ),
    (
        "workers.count = '4'",
        '1: workers.count: expected an integer from 1 to 480 or "auto", got "4"; did you mean 4?',
    ),
    ("workers.count = 0", '1: workers.count: expected an integer from 1 to 480 or "auto", got 0'),
    (
        "workers.count = 0x" + "f" * 5000,
        '1: workers.count: expected an integer from 1 to 480 or "auto", got an integer of more than 62 bits',
    ),
    (
        "workers.count = 2021-01-01",
        '1: workers.count: expected an integer from 1 to 480 or "auto", got the date or time 2021-01-01',
    ),
    (
        "workers.preload = 'yes'",
        '1: workers.preload: expected true or false, got "yes"; did you mean true?',
    ),
    (
        "timeouts.head = '1.5m'",
        '1: timeouts.head: expected seconds, a number above 0, got "1.5m"; did you mean 90?',
    ),
    ("timeouts.head = '0s'", '1: timeouts.head: expected seconds, a number above 0, got "0s"'),
    ("timeouts.stall = nan", "1: timeouts.stall: expected seconds, a number of at least 0, got nan"),
    (
        "timeouts.stall = inf",
        "1: timeouts.stall: expected seconds, a number of at least 0, got inf; at most 31536000 (a year)",
    ),
    (
        "timeouts.stall = false",
        "1: timeouts.stall: expected seconds, a number of at least 0, got false; did you mean 0?",
    ),
    (
        "limits.body = '64KiB'",
        '1: limits.body: expected octets, an integer of at least 0, got "64KiB"; did you mean 65536?',
    ),
    ("limits.body = {}", "1: limits.body: expected octets, an integer of at least 0, got a table"),
    ("limits.body = -1", "1: limits.body: expected octets, an integer of at least 0, got -1"),
    (
        "log.level = 'warn'",
        '1: log.level: expected "debug", "info", "warning" or "error", got "warn"; did you mean "warning"?',
    ),
    ("title = 5", '1: title: expected a string, got 5; did you mean "5", in quotes?'),
    ("title = 1.5", '1: title: expected a string, got 1.5; did you mean "1.5", in quotes?'),
    ("umask = 22", '1: umask: expected a string such as "0027", got 22'),
    (
        "pythonpath = 'src'",
        '1: pythonpath: expected an array of strings, got "src"; did you mean ["src"]?',
    ),
    (
        "pythonpath = ['a', 5]",
        "1: pythonpath: expected an array of strings, got an array that holds 5",
    ),
    ("user = '" + "9" * 5000 + "'", None),
    ("user = '9999999999'", '1: user: there is no user "9999999999"'),
    ("limits.body = '" + "9" * 5000 + "k'", None),
    ("title = 0x" + "f" * 5000, "1: title: expected a string, got an integer of more than 62 bits"),
    ("title = true", '1: title: expected a string, got true; did you mean "true", in quotes?'),
    ("env.A = 0x" + "f" * 5000, "1: env.A: expected a string, got an integer of more than 62 bits"),
    ("user = []", "1: user: expected a string, got an array"),
    ('title = "' + "x" * 60 + '\\u0007"', None),
    (
        'title = "a\\u0007"',
        '1: title: control characters, or octets that are not UTF-8, in "a\\u0007"',
    ),
    ("env = 5", "1: env: expected a table, got 5"),
    ("env.PORT = 80", '1: env.PORT: expected a string, got 80; did you mean "80", in quotes?'),
    ("env.LIST = []", "1: env.LIST: expected a string, got an array"),
    (
        'env.A = "\\u0000"',
        "1: env.A: an environment variable cannot hold a NUL, nor what is not UTF-8",
    ),
    ("env.'A=B' = ''", '1: env."A=B": an environment variable has a name without ='),
    (
        "listener.bind = ':1'",
        "1: listener: expected tables, got a table; write [[listener]], in double brackets",
    ),
    ("listener = ':1'", '1: listener: expected tables, got ":1"'),
    ("[[listener]]\n", "1: listener[0].bind: missing; a listener needs an address"),
    (
        "[[listener]]\nbind = 5",
        '2: listener[0].bind: expected a string, got 5; did you mean "5", in quotes?',
    ),
    ("[[listener]]\nbind=':1'\nmod = '0600'", "3: listener[0].mod: unknown key; did you mean mode?"),
    (
        "[[listener]]\nbind=':1'\nlisten = ':2'",
        "3: listener[0].listen: unknown key; did you mean bind?",
    ),
    ("[[listener]]\nbind=':1'\nqqq = 1", "3: listener[0].qqq: unknown key"),
    # Values that fit their type, and nothing else.
    (
        "bind = 8000",
        '1: bind: expected a string or an array of strings, got 8000; did you mean "8000", in quotes?',
    ),
    ("bind = []", "1: bind: there is nothing to listen on; give at least one address"),
    ("bind = 'localhost'", '1: bind: "localhost" is no address: no port; write localhost:8000'),
    ("bind = [':80', '127.0.0.1:80']", '1: bind: "127.0.0.1:80" cannot be bound beside ":80"'),
    ("bind = 'unix:/nope/s'", '1: bind: the directory "/nope" does not exist'),
    ("bind = 'unix:/tmp'", '1: bind: "/tmp" is a directory'),
    (
        "[[listener]]\nbind = '127.0.0.1:8000'",
        '2: listener[0].bind: "127.0.0.1:8000" cannot be bound beside "127.0.0.1:8000"',
    ),
    (
        "[[listener]]\nbind = ':1'\nmode = '0600'",
        '3: listener[0].mode: only a unix socket has one, and ":1" is none',
    ),
    (
        "[[listener]]\nbind = 'unix:@a'\nowner = 'nobdy'",
        '3: listener[0].owner: there is no user "nobdy"',
    ),
    (
        "[[listener]]\nbind = 'unix:@a'\ngroup = 'nobdy'",
        '3: listener[0].group: there is no group "nobdy"',
    ),
    (
        "[[listener]]\nbind = ':1'\ntls = true",
        "3: listener[0].tls: not available in this version; leave it out, or at false",
    ),
    (
        "[[listener]]\nbind = 'x'\nmode = '0600'",
        (
            '2: listener[0].bind: "x" is no address: expected host:port, '
            ":port, [v6]:port, unix:/path, unix:@name, fd:N or systemd"
        ),
    ),
    ("user = 'nobdy'", '1: user: there is no user "nobdy"'),
    ("group = '9999999999'", '1: group: there is no group "9999999999"'),
    ("chdir = '/nope'", '1: chdir: "/nope" does not exist'),
    ("directory = '/etc/passwd'", '1: directory: "/etc/passwd" is not a directory'),
    ("pythonpath = ['/', '/nope']", '1: pythonpath: "/nope" does not exist'),
    ("pid_file = '/nope/pid'", '1: pid_file: the directory "/nope" does not exist'),
    ("pid_file = '/dev/a'\nlog.error = '/dev/a'", '1: pid_file: "/dev/a" is a log file too'),
    (
        "log.access = 'stdot'",
        (
            '1: log.access: expected stdout, stderr, off or a path with a slash in it, got "stdot"; did '
            "you mean stdout?"
        ),
    ),
    (
        "log.error = 'syslog'",
        '1: log.error: expected stdout, stderr, off or a path with a slash in it, got "syslog"',
    ),
    ("log.error = '/nope/log'", '1: log.error: the directory "/nope" does not exist'),
    ("log.format = '%Q'", None),
    ("title = ' '", "1: title: expected a name, got an empty one"),
    (
        "http.server_header = 'é'",
        '1: http.server_header: expected printable ASCII, true or false, got "é"',
    ),
    (
        "server_class = 'a-b'",
        '1: server_class: expected a dotted name such as package.module.Class, got "a-b"',
    ),
    ("target = 'app:'", '1: target: expected a name after the colon, got "app:"'),
    (
        "target = 'a-b:app'",
        '1: target: expected module:attribute or path/to/file.py:attribute, got "a-b:app"',
    ),
    ("target = '/nope/a:b/app.py'", '1: target: the file "/nope/a:b/app.py" does not exist'),
    ("target = '/nope/app.py:Handler'", '1: target: the file "/nope/app.py" does not exist'),
    (
        "workers.threads = 2",
        "1: workers.threads: not available in this version; leave it out, or at 1",
    ),
    (
        "proxy.trusted = ['unix', '10.0.0.1/8']",
        '1: proxy.trusted: "10.0.0.1/8" has bits beyond its mask; did you mean "10.0.0.0/8"?',
    ),
    (
        "proxy.trusted = ['localhost']",
        '1: proxy.trusted: "localhost" is no numeric address or network, and not "unix"',
    ),
    (
        "proxy.protocol = 'v2'",
        "1: proxy.protocol: nobody is trusted to speak it; name your proxies in proxy.trusted",
    ),
    ("tls.key = '/k'", '1: tls.key: not available in this version; leave it out, or at ""'),
    # No TOML.
    ("bind = ", "1: not TOML: Invalid value"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_gets_one_clear_line(text: str, said: str | None) -> None:
    (fault,) = faults(text)
    assert fault.startswith("f.toml:1: ") if said is None else fault == f"f.toml:{said}"
    assert fault.isprintable()
    assert len(fault) < 300


GOOD = [
    "bind = ['127.0.0.1:0', '[::1]:0', 'unix:@a', 'unix:a.sock', 'fd:3', 'systemd']",
    "bind = []\n[[listener]]\nbind = 'unix:@a'\nmode = '0600'\nowner = 'root'\ngroup = 'root'",
    "workers.count = 'auto'\nworkers.threads = 1\nworkers.preload = false",
    "user = '0'\ngroup = '4321'",
    "target = 'app:Handler.nested'\nserver_class = 'package.module:Class'",
    "target = 'app.py'",
    "target = './app.py:Handler'",
    "http.server_header = 'Apache'",
    "http.server_header = false",
    "env.KEY = '''-----BEGIN\nMII'''\nenv.'a.b' = ''",
    "log.error = '/dev/stderr'\nlog.access = 'off'\nlog.format = 'json'",
    "timeouts.stall = 0\ntimeouts.keep_alive = 1.5",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_taken(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert faults(text) == []


def test_only_root_becomes_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "user = 'root'\ngroup = '0'"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "getegid", lambda: 123)
    assert faults(text) == [
        'f.toml:1: user: only root can become "root", and this is uid 12345 gid 123',
        'f.toml:2: group: only root can become "0", and this is uid 12345 gid 123',
    ]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert faults(text) == []


def test_all_faults_are_told_at_once() -> None:
    said = faults(
        "workers = 4\nbind = ['x', 'y']\nuser = 'nobdy'\n",
        {"FORKHTTP_BACKLOG": "many", "FORKHTTP_TITLE": "\udcff"},
        ("nope", "1", "--set"),
        ("workers.count", Typed("0"), "-w"),
    )
    assert [line.partition(": ")[0] for line in said] == [
        "f.toml:1",
        "FORKHTTP_BACKLOG",
        "FORKHTTP_TITLE",
        "--set",
        "-w",
        "f.toml:2",
        "f.toml:2",
        "f.toml:3",
    ]


def test_a_value_is_checked_also_where_another_overrides_it() -> None:
    (fault,) = faults("backlog = 0", {"FORKHTTP_BACKLOG": "5"})
    assert fault.startswith("f.toml:1: backlog: expected an integer from 1 to 65535, got 0")


def test_a_key_with_a_fault_is_not_blamed_for_its_default() -> None:
    (fault,) = faults("bind = 5\n[[listener]]\nbind = ':8000'")
    assert fault.startswith("f.toml:1: bind: expected")
    (fault,) = faults("[[listener]]\nbind = 5\n[[listener]]\nbind = ':1'\n")
    assert fault.startswith("f.toml:2: listener[0].bind: expected")


def test_command_line_over_environment_over_file_over_default() -> None:
    text = "backlog = 1\ntitle = 'file'\numask = '0022'\nenv.A = 'file'\nenv.B = 'file'"
    environ = {"FORKHTTP_BACKLOG": "2", "FORKHTTP_TITLE": "environment", "FORKHTTP_UMASK": ""}
    configuration = loaded(text, environ, ("backlog", Typed("3"), "-x"), ("env.A", Typed("5"), "--set"))
    settings, origins = configuration.settings, configuration.origins
    assert (settings.backlog, origins["backlog"]) == (3, "-x")
    assert (settings.title, origins["title"]) == ("environment", "FORKHTTP_TITLE")
    assert (settings.umask, origins["umask"]) == ("0022", "f.toml:3")
    assert (settings.user, origins["user"]) == ("", "default")
    assert settings.env == {"A": "5", "B": "file"}
    assert (origins["env.A"], origins["env.B"]) == ("--set", "f.toml:5")
    assert configuration.warnings == []


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("workers.count", "4", 4),
        ("workers.count", "auto", "auto"),
        ("workers.count", '"auto"', "auto"),
        ("title", "5", "5"),
        ("title", '"quoted"', "quoted"),
        ("title", "true", "true"),
        ("umask", "022", "022"),
        ("umask", "027", "027"),
        ("http.server_header", "false", False),
        ("http.server_header", "nginx", "nginx"),
        ("timeouts.head", "5", 5.0),
        ("timeouts.head", "0.5", 0.5),
        ("limits.body", "1_000", 1000),
        ("bind", ":1", ":1"),
        ("bind", "[::1]:1", "[::1]:1"),
        ("bind", ":1,[::1]:2", (":1", "[::1]:2")),
        ("bind", '[":1", ":2"]', (":1", ":2")),
        ("pythonpath", "/, /etc ,", ("/", "/etc")),
        ("pythonpath", "", ()),
    ],
)
def test_typed_text_is_toml_or_else_text(key: str, typed: str, value: object) -> None:
    for configuration in (
        loaded("", {}, (key, Typed(typed), "--set")),
        loaded("", {VARIABLES[f"FORKHTTP_{key.replace('.', '_').upper()}"].variable: typed or " "}),
    ):
        table, _, last = key.rpartition(".")
        place: Any = getattr(configuration.settings, table) if table else configuration.settings
        assert getattr(place, last) == value


def test_typed_text_that_is_more_than_a_value_is_text() -> None:
    assert loaded("", {}, ("env.A", Typed("1\nb=2"), "--set")).settings.env == {"A": "1\nb=2"}
    assert faults("", {}, ("title", Typed("1\nb=2"), "--set"))[0].startswith("--set: title: control")
    assert faults("", {}, ("workers.count", Typed("[" * 5000), "-w"))[0].startswith("-w: workers.count: ")


def test_the_command_line_sets_tables_too() -> None:
    configuration = loaded(
        "[[listener]]\nbind = ':1'",
        {},
        ("workers", Typed("{ count = 3 }"), "--set"),
        ("listener", Typed('[{ bind = "unix:@a" }, { bind = ":2" }]'), "--set"),
        ("env", Typed('{ "A.B" = "x" }'), "--set"),
        ("env.C.D", Typed("y"), "--set"),
        ("env.Q", Typed('"quoted"'), "--set"),
        ("env.N", Typed("5"), "--set"),
        ("env.P", "5", "--set"),
    )
    assert configuration.settings.workers.count == 3
    assert configuration.settings.listener == (Listener(bind="unix:@a"), Listener(bind=":2"))
    assert configuration.settings.env == {"A.B": "x", "C.D": "y", "Q": "quoted", "N": "5", "P": "5"}
    assert configuration.origins["listener[1].bind"] == "--set"
    assert configuration.origins["listener[1].mode"] == "default"
    assert configuration.origins['env."A.B"'] == "--set"
    assert faults("", {}, ("workers", Typed("four"), "--set")) == [
        '--set: workers: expected a table, got "four"'
    ]


def test_the_environment_names_the_file_unless_the_command_line_does() -> None:
    Path("a.toml").write_text("backlog = 7")
    environ = {"FORKHTTP_CONFIG": "a.toml"}
    assert load(Sources(None, environ)).settings.backlog == 7
    assert loaded("backlog = 8", environ).settings.backlog == 8
    assert load(Sources()).settings == Settings()
    assert load(Sources(None, {"FORKHTTP_CONFIG": ""})).settings == Settings()


def test_unknown_names_in_the_environment_are_warnings() -> None:
    environ = {
        "FORKHTTP_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "FORKHTTP_SERVICE_HOST": "10.0.0.1",
        "FORKHTTP_PORT": "tcp://10.0.0.1:8000",
        "FORKHTTP_WORKER_COUNT": "4",
        "FORKHTTP_ENV": "x",
        "FORKHTTP_\udcff": "x",
        "FORKHTTPS": "x",
    }
    assert loaded("target = 'app'\ndirectory = '.'", environ).warnings == [
        "FORKHTTP_ENV: unknown name",
        "FORKHTTP_PORT: unknown name",
        "FORKHTTP_PORT_8000_TCP: unknown name",
        "FORKHTTP_SERVICE_HOST: unknown name",
        "FORKHTTP_WORKER_COUNT: unknown name; did you mean FORKHTTP_WORKERS_COUNT?",
        "FORKHTTP_\\udcff: unknown name",
        "f.toml:2: directory: has no effect beside a target",
    ]


def test_relative_paths_are_of_the_directory_where_it_started(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    settings = loaded(
        "chdir = 'sub'\npid_file = 'pid'\npythonpath = ['.', 'sub']\nlog.access = './log'"
    ).settings
    assert settings.chdir == f"{tmp_path}/sub"
    assert settings.pid_file == f"{tmp_path}/pid"
    assert settings.pythonpath == (f"{tmp_path}", f"{tmp_path}/sub")
    assert settings.log.access == f"{tmp_path}/log"
    assert settings.log.error == "stderr"


def test_a_current_directory_that_is_gone_is_a_fault_of_relative_paths_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    sources = Sources(None, {"FORKHTTP_CHDIR": "/"}, (Option("directory", "x", "-d"),))
    with pytest.raises(ConfigError, match="-d: directory: relative to a current directory that is gone"):
        load(sources)
    assert load(Sources(None, {"FORKHTTP_CHDIR": "/"})).settings.chdir == "/"


def test_a_reload_reads_the_file_again(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "f.toml")
    for number in (3, 4):
        (tmp_path / "f.toml").write_text(f"workers.count = {number}")
        assert load(sources).settings.workers.count == number


def test_the_pid_file_is_known_whatever_else_is_wrong() -> None:
    Path("f.toml").write_text("pid_file = '/run/pid'\nworkers.count = 'many'\nbind = 5")
    assert named_pid_file(Sources(Path("f.toml"))) == Path("/run/pid")
    assert named_pid_file(Sources()) is None


@pytest.mark.parametrize("text", [None, "pid_file = '/run/pid'\nworkers.count = x", "pid_file = 5"])
def test_a_pid_file_that_a_fault_hides_is_that_fault(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "f.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        named_pid_file(Sources(file))


def test_each_name_is_known_once() -> None:
    assert len(VARIABLES) == len(KEYS)
    known = {*KEYS, "env"}
    assert {*ELSEWHERE.values(), *TABLE_AS_KEY.values()} <= known
    assert not {*ELSEWHERE, *NOT_NEEDED} & ({*KEYS} | {*TABLES})
    assert TABLE_AS_KEY.keys() <= TABLES.keys()
    assert {*KEYS, *(f"listener.{name}" for name in LISTENER_KEYS)} >= UNAVAILABLE


def test_every_default_is_taken_when_it_is_written_out() -> None:
    assert (
        load(Sources(options=[(key.name, key.default, "x") for key in KEYS.values()])).settings == Settings()
    )


NAMES = st.one_of(
    st.sampled_from([*KEYS, *TABLES, "env", "listener", "env.A", "listener.bind", *ELSEWHERE, "workers.x.y"]),
    st.text(string.ascii_lowercase + "._-", min_size=1, max_size=12),
    st.text(max_size=5).map(json.dumps),
)
SCALARS = st.one_of(
    st.integers().map(str),
    st.just("0x" + "f" * 4000),
    st.floats().map(repr),
    st.booleans().map(lambda value: str(value).lower()),
    st.text(max_size=12).map(json.dumps),
    st.sampled_from(
        [
            '"127.0.0.1:80"',
            '"unix:/a"',
            '"auto"',
            '"off"',
            '"root"',
            "2021-01-01",
            "10:00:00",
            "'%h'",
            '"\\u0000"',
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["bind", "mode", "count", "A"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{name} = {value}" for name, value in table.items()) + "}"
        ),
    ),
    max_leaves=4,
)
LINES = st.one_of(
    st.tuples(NAMES, VALUES).map(" = ".join),
    st.sampled_from(
        [*(f"[{name}]" for name in TABLES), "[env]", "[[listener]]", "[listener]", "[[workers]]"]
    ),
    st.text(max_size=8),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINES, max_size=6).map("\n".join))
def test_any_document_is_a_configuration_or_a_config_error(text: str) -> None:
    for fault in faults(text.encode("utf-8", "replace").decode()):
        assert fault.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(NAMES, st.one_of(VALUES, st.text(st.characters())))
@example("backlog", "\ud800")
def test_any_option_is_a_configuration_or_a_config_error(name: str, value: str) -> None:
    for fault in faults("", {}, (name, Typed(value), "--set")):
        assert fault.isprintable()
