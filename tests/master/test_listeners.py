"""Listeners: bound, kept, never stolen, never left behind."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forkhttp.master.listeners import Binding, Inherited, ListenError, bind
from forkhttp.settings import Listener, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = Inherited({}, 1)


@pytest.fixture
def opened() -> Iterator[list[Binding]]:
    """Bindings that are closed after the test."""
    bindings: list[Binding] = []
    yield bindings
    for binding in bindings:
        binding.close()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def bound(opened: list[Binding], *addresses: str, before: Binding | None = None) -> Binding:
    """Bind these addresses."""
    binding = bind(Settings(bind=addresses), NOTHING, before or Binding())
    opened.append(binding)
    return binding


def test_tcp_of_both_families_on_one_port(opened: list[Binding]) -> None:
    v4 = bound(opened, "127.0.0.1:0").listeners[0]
    port = v4.address[1]
    v6 = bound(opened, f"[::]:{port}").listeners[0]
    assert (v4.name, v6.address[1]) == ("127.0.0.1:0", port)
    for listener in (v4, v6):
        assert not listener.socket.getblocking()
        assert not listener.socket.get_inheritable()
    with socket.create_connection(("127.0.0.1", port)):
        v4.socket.accept()[0].close()
    with pytest.raises(BlockingIOError):
        v6.socket.accept()


def test_an_address_in_use_is_refused_and_what_was_opened_is_closed(opened: list[Binding]) -> None:
    taken = f"127.0.0.1:{bound(opened, '127.0.0.1:0').listeners[0].address[1]}"
    before = _descriptors()
    with pytest.raises(ListenError, match=f"cannot listen on {taken}: Address already in use"):
        bound(opened, "127.0.0.1:0", taken)
    assert _descriptors() == before


def test_a_port_that_was_just_served_can_be_bound_again(opened: list[Binding]) -> None:
    first = bind(Settings(bind="127.0.0.1:0"), NOTHING, Binding())
    address = first.listeners[0].address
    with socket.create_connection(address) as client:
        accepted, _ = first.listeners[0].socket.accept()
        accepted.close()
        first.close()
        assert client.recv(1) == b""
    bound(opened, f"127.0.0.1:{address[1]}")


def test_a_reload_keeps_what_is_the_same(opened: list[Binding], tmp_path: Path) -> None:
    kept, dropped, new = (f"unix:{tmp_path}/{name}" for name in ("kept", "dropped", "new"))
    old = bound(opened, "127.0.0.1:0", kept, dropped)
    following = bound(opened, kept, new, "127.0.0.1:0", before=old)
    assert following.listeners[0].socket is old.listeners[1].socket
    assert following.listeners[2].socket is old.listeners[0].socket
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dropped", "kept", "new"]
    old.close_unless_in(following)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "new"]
    following.close()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_reload_closes_what_is_new_alone(opened: list[Binding], tmp_path: Path) -> None:
    old = bound(opened, f"unix:{tmp_path}/old")
    following = bound(opened, f"unix:{tmp_path}/old", f"unix:{tmp_path}/new", before=old)
    following.close_unless_in(old)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.listeners[0].socket.fileno() >= 0


def test_a_unix_socket_has_the_mode_of_its_table(opened: list[Binding], tmp_path: Path) -> None:
    table = Listener(bind=f"unix:{tmp_path}/s", mode="0604")
    opened.append(bind(Settings(bind=(), listener=(table,)), NOTHING, Binding()))
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o604
    changed = Listener(bind=f"unix:{tmp_path}/s", mode="0666")
    following = bind(Settings(bind=(), listener=(changed,)), NOTHING, opened[0])
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o604
    following.adjust(backlog=5)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o666


def test_an_owner_who_does_not_exist_is_refused(tmp_path: Path) -> None:
    table = Listener(bind=f"unix:{tmp_path}/s", owner="nobody-of-that-name")
    with pytest.raises(ListenError, match="nobody-of-that-name"):
        bind(Settings(bind=(), listener=(table,)), NOTHING, Binding())


def test_a_living_unix_socket_is_not_stolen(opened: list[Binding], tmp_path: Path) -> None:
    bound(opened, f"unix:{tmp_path}/s")
    with pytest.raises(ListenError, match="another server answers there"):
        bind(Settings(bind=f"unix:{tmp_path}/s"), NOTHING, Binding())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/s")


def test_a_stale_unix_socket_is_replaced(opened: list[Binding], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{tmp_path}/s")
    bound(opened, f"unix:{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/s")


@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_what_is_no_socket_stays(what: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    if what == "file":
        path.write_text("precious")
    elif what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    with pytest.raises(ListenError, match="the path exists, and is no socket"):
        bind(Settings(bind=f"unix:{path}"), NOTHING, Binding())
    assert path.is_symlink() or path.exists()


def test_a_path_that_was_replaced_by_another_server_is_left_to_it(tmp_path: Path) -> None:
    ours = bind(Settings(bind=f"unix:{tmp_path}/s"), NOTHING, Binding())
    (tmp_path / "s").unlink()
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(f"{tmp_path}/s")
        ours.close()
        assert (tmp_path / "s").is_socket()


def test_a_path_that_was_removed_is_restored_by_a_reload(opened: list[Binding], tmp_path: Path) -> None:
    old = bound(opened, f"unix:{tmp_path}/s")
    (tmp_path / "s").unlink()
    bound(opened, f"unix:{tmp_path}/s", before=old)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/s")


def test_an_abstract_name(opened: list[Binding]) -> None:
    name = f"forkhttp-test-{os.getpid()}"
    bound(opened, f"unix:@{name}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")


def test_an_inherited_descriptor_is_taken_over(opened: list[Binding]) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    address, number = given.getsockname(), given.detach()
    os.set_inheritable(number, True)  # noqa: FBT003 - it has no other name
    listener = bound(opened, f"fd:{number}").listeners[0]
    assert listener.socket.fileno() == number
    assert (listener.address, listener.socket.get_inheritable()) == (address, False)


def test_a_descriptor_that_does_not_listen_is_refused_and_stays_open() -> None:
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    for number in (one.fileno(), reading):
        with pytest.raises(ListenError, match=f"cannot listen on fd:{number}: descriptor {number} is no"):
            bind(Settings(bind=f"fd:{number}"), NOTHING, Binding())
        os.fstat(number)
    with pytest.raises(ListenError, match="is not open"):
        bind(Settings(bind="fd:9999"), NOTHING, Binding())
    for end in (one, other):
        end.close()
    for number in (reading, writing):
        os.close(number)


def test_systemd_passes_what_is_meant_for_us_alone() -> None:
    mine = {"LISTEN_FDS": "2", "LISTEN_PID": "77", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
    assert list(Inherited(mine, 77).descriptors) == [3, 4]
    assert mine == {"HOME": "/"}
    for theirs in ({"LISTEN_FDS": "2", "LISTEN_PID": "78"}, {"LISTEN_FDS": "x", "LISTEN_PID": "77"}, {}):
        assert list(Inherited(theirs, 77).descriptors) == []
    with pytest.raises(ListenError, match="it passed no sockets"):
        bind(Settings(bind="systemd"), NOTHING, Binding())
