"""The file server: what it gives, and that it never leaves its root."""

from __future__ import annotations

import functools
import os
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from forkhttp import SimpleHTTPRequestHandler
from forkhttp.server import response
from tests.handlers.by_hand import answer
from tests.server.serving import Client, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = b"a secret"
PAGE = b"<p>a page</p>"
MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT


class Quiet(SimpleHTTPRequestHandler):
    """Keeps no log."""

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a small tree, and a secret beside it."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "page.html").write_bytes(PAGE)
    os.utime(root / "page.html", (MODIFIED, MODIFIED))
    (root / "sub" / "a.txt").write_bytes(b"a")
    (root / "index").mkdir()
    (root / "index" / "index.html").write_bytes(PAGE)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "secret.d").mkdir()
    return root


def ask(root: Path, target: str, method: str = "GET", *fields: str) -> tuple[int, dict[str, str], bytes]:
    """Ask a handler for ``root`` by hand; give status, fields and body."""
    octets = "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode("latin-1")
    head, _, body = answer(functools.partial(Quiet, directory=str(root)), octets).partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    return int(line.split()[1]), {k.lower(): v for k, v in (each.split(": ", 1) for each in lines)}, body


# -- files ------------------------------------------------------------------------------------------


def test_a_file_has_its_type_length_and_date(root: Path) -> None:
    status, fields, body = ask(root, "/page.html?query=1#fragment")
    assert (status, body) == (200, PAGE)
    assert fields["content-type"] == "text/html"
    assert fields["content-length"] == str(len(PAGE))
    assert fields["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_head_is_get_without_the_body(root: Path) -> None:
    get, head = ask(root, "/page.html"), ask(root, "/page.html", "HEAD")
    assert head[:2] == get[:2]
    assert head[2] == b""


def test_names_may_be_encoded(root: Path) -> None:
    (root / "a b+\u00e4%.txt").write_bytes(b"encoded")
    assert ask(root, "/a%20b+%C3%A4%25.txt")[2] == b"encoded"


def test_a_name_that_is_no_utf_8_is_listed_and_served(root: Path) -> None:
    (root / "sub" / os.fsdecode(b"\xff.txt")).write_bytes(b"octets")
    assert b'href="./%ED%B3%BF.txt"' in ask(root, "/sub/")[2]
    assert ask(root, "/sub/%ED%B3%BF.txt")[2] == b"octets"


@pytest.mark.parametrize(
    "target",
    [
        "/missing",
        "/page.html/",
        "/sub/missing/",
        "/page.html/x",
        "/" + "a" * 300,
        "/" + "a/" * 3000,
        "/a%00b",
    ],
)
def test_what_is_not_there_is_404(root: Path, target: str) -> None:
    assert ask(root, target)[0] == 404


def test_what_is_no_regular_file_is_404(root: Path) -> None:
    (root / "null").symlink_to("/dev/null")
    assert ask(root, "/null")[0] == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html"),
        ("a.tar.gz", "application/gzip"),
        ("a.GZ", "application/gzip"),
        ("a.Z", "application/octet-stream"),
        ("a.xz", "application/x-xz"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.own", "x/own"),
    ],
)
def test_types_follow_the_ending(name: str, kind: str) -> None:
    class Mapped(Quiet):
        extensions_map = {**Quiet.extensions_map, ".own": "x/own"}  # noqa: RUF012 - as people write it

    assert Mapped.__new__(Mapped).guess_type(name) == kind


# -- conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "status"),
    [
        (formatdate(MODIFIED, usegmt=True), 304),
        (formatdate(MODIFIED + 9, usegmt=True), 304),
        (formatdate(MODIFIED - 1, usegmt=True), 200),
        ("Sun Nov  6 08:49:37 1994", 304),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("Sun, 06 Nov 1994 08:49:37 +0100", 200),
        ("no date", 200),
        ("", 200),
        ("Sun, 99 Nov 9999999 08:49:37 GMT", 200),
    ],
)
def test_if_modified_since_is_understood(root: Path, since: str, status: int) -> None:
    answered, fields, body = ask(root, "/page.html", "GET", f"If-Modified-Since: {since}")
    assert answered == status
    assert body == (b"" if status == 304 else PAGE)
    assert ("content-length" in fields) == (status == 200)


def test_if_modified_since_is_ignored_beside_if_none_match(root: Path) -> None:
    fields = [f"If-Modified-Since: {formatdate(MODIFIED, usegmt=True)}", 'If-None-Match: "x"']
    assert ask(root, "/page.html", "GET", *fields)[0] == 200


# -- directories ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/sub", "/sub/"),
        ("/sub?a=1", "/sub/?a=1"),
        ("//sub", "/sub/"),
        ("///sub", "/sub/"),
        ("//evil.example/../sub", "/evil.example/../sub/"),
        ("/%5cevil.example/../sub", "/%5cevil.example/../sub/"),
        ("/\\evil.example/../sub", "/%5Cevil.example/../sub/"),
        ("/\\/evil.example/%2e%2e/%2e%2e/sub", "/%5C/evil.example/%2e%2e/%2e%2e/sub/"),
    ],
)
def test_a_redirect_to_a_directory_stays_on_this_host(root: Path, target: str, location: str) -> None:
    status, fields, _ = ask(root, target)
    assert (status, fields["location"]) == (301, location)


def test_an_index_page_stands_for_its_directory(root: Path) -> None:
    assert ask(root, "/index/")[2] == PAGE
    own = type("Own", (Quiet,), {"index_pages": ("a.txt",)})
    assert answer(functools.partial(own, directory=root), b"GET /sub/ HTTP/1.1\r\n\r\n").endswith(
        b"\r\n\r\na"
    )


def test_a_listing_shows_files_directories_and_links_in_order(root: Path) -> None:
    (root / "sub" / "B.txt").touch()
    (root / "sub" / "link").symlink_to("deep")
    (root / "sub" / "loop").symlink_to("loop")
    (root / "sub" / "c:d").touch()
    status, fields, body = ask(root, "/sub/?query")
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert int(fields["content-length"]) == len(body)
    items = [line for line in body.decode().splitlines() if line.startswith("<li>")]
    assert items == [
        '<li><a href="./a.txt">a.txt</a></li>',
        '<li><a href="./B.txt">B.txt</a></li>',
        '<li><a href="./c%3Ad">c:d</a></li>',
        '<li><a href="./deep/">deep/</a></li>',
        '<li><a href="./link/">link@</a></li>',
        '<li><a href="./loop">loop@</a></li>',
    ]
    assert b"<title>Directory listing for /sub/</title>" in body


def test_a_listing_escapes_names_and_title(root: Path) -> None:
    evil = root / "<b>&"
    evil.mkdir()
    (evil / '"><script>.txt').touch()
    body = ask(root, "/%3Cb%3E&/")[2]
    assert b"<script>" not in body
    assert b"<b>" not in body
    assert b"Directory listing for /&lt;b&gt;&amp;/" in body
    assert b'<a href="./%22%3E%3Cscript%3E.txt">"&gt;&lt;script&gt;.txt</a>' in body


def test_a_listing_for_a_target_that_is_no_utf_8_is_a_listing(root: Path) -> None:
    assert ask(root, "/%FF/../sub/")[0] == 200


def test_a_directory_that_cannot_be_listed_is_404(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Iterator[Path]:
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    assert ask(root, "/sub/")[0] == 404


def test_a_directory_that_cannot_be_entered_is_404(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def refuse(path: str | Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if "closed" in str(path):
            raise PermissionError
        return stat(path, follow_symlinks=follow_symlinks)

    (root / "sub" / "closed").mkdir()
    monkeypatch.setattr("os.stat", refuse)
    monkeypatch.setattr("os.lstat", refuse)
    assert ask(root, "/sub/closed/")[0] == 404
    assert ask(root, "/sub/")[0] == 200


# -- the root ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/../../../../../../etc/passwd",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/..%2fsecret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "/..\\secret",
        "//../secret",
        "/.//../secret",
        "/sub//..//..//secret",
        "/..;/secret",
        "/%c0%ae%c0%ae/secret",
        "/../secret%00.html",
        "/%00/../../secret",
        "http://a/../secret",
        "/../secret.d/",
        "/../root/../secret",
        "../secret",
        "*",
        "",
    ],
)
def test_no_target_leaves_the_root(root: Path, target: str) -> None:
    handler = Quiet.__new__(Quiet)
    handler.directory = str(root)
    translated = handler.translate_path(target)
    assert (translated + "/").startswith(f"{root}/")
    assert ".." not in translated.split("/")
    if target and target != "*":
        status, _, body = ask(root, target)
        assert SECRET not in body
        assert status in (400, 404)


def test_links_that_lead_in_circles_are_404(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    for target in ("/one", "/one/", "/one/a"):
        assert ask(root, target)[0] == 404


def test_the_default_root_is_the_current_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert answer(Quiet, b"GET /page.html HTTP/1.1\r\n\r\n").endswith(PAGE)


# -- served -----------------------------------------------------------------------------------------

BIG = 20_000_000


@pytest.fixture
def served(root: Path, tmp_path: Path) -> Iterator[Served]:
    """Serve the tree, with a big file in it."""
    with (root / "big").open("wb") as file:
        file.truncate(BIG - 5)
        file.seek(BIG - 5)
        file.write(b"tail\n")
    with serving(functools.partial(Quiet, directory=root), tmp_path) as serving_it:
        yield serving_it


def request(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def test_a_big_file_passes_through_no_memory_of_ours(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = response.ResponseStream.write

    def counting(stream: response.ResponseStream, data: bytes) -> int:
        written.append(len(data))
        return write(stream, data)

    monkeypatch.setattr(response.ResponseStream, "write", counting)

    def client(connection: Client) -> tuple[bytes, bytes]:
        return connection.ask(request("/big"))[2], connection.ask(request("/page.html"))[2]

    big, page = served.run(client)
    assert (len(big), big[-5:], page) == (BIG, b"tail\n", PAGE)
    assert sum(written) < 2000


def test_an_empty_file_is_an_empty_body(served: Served, root: Path) -> None:
    (root / "empty").touch()
    assert served.run(lambda connection: connection.ask(request("/empty")))[::2] == (200, b"")


def test_head_of_a_big_file_is_only_its_head(served: Served) -> None:
    def client(connection: Client) -> tuple[str, bytes]:
        _, fields, body = connection.ask(request("/big", "HEAD"), "HEAD")
        assert connection.ask(request("/page.html"))[2] == PAGE
        return fields["content-length"], body

    assert served.run(client) == (str(BIG), b"")


def test_a_slow_reader_of_a_big_file_costs_no_handler(served: Served) -> None:
    slow = served.client()
    slow.send(request("/big"))
    served.until(lambda: served.row.requests == 1)
    assert served.run(lambda connection: connection.ask(request("/page.html"))[2]) == PAGE
    assert len(served.let(slow.expect)[2]) == BIG


def test_a_file_that_is_truncated_while_it_is_sent_ends_in_a_reset(served: Served, root: Path) -> None:
    slow = served.client()
    slow.send(request("/big"))
    served.until(lambda: served.row.requests == 1)
    os.truncate(root / "big", 1000)
    with pytest.raises(ConnectionResetError):
        served.let(slow.rest)
    served.until(lambda: served.loop.empty)
    assert served.run(lambda connection: connection.ask(request("/page.html"))[2]) == PAGE


def test_a_listing_and_a_redirect_are_served_and_persist(served: Served) -> None:
    def client(connection: Client) -> list[int]:
        return [connection.ask(request(target))[0] for target in ("/sub/", "/sub", "/sub/a.txt", "/missing")]

    assert served.run(client) == [200, 301, 200, 404]
