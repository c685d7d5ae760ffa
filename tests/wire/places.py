"""Where a message can be right or wrong: its method, the space behind it, the end of a chunk, and so on.

Each place knows what is right there and what went wrong there in other servers (the classes of
attack). Messages are put together from places, and existing ones are spoiled by them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

Message = TypeVar("Message")


class Place(NamedTuple):
    """What may stand at one place of a message: by the grammar, and against it (or nearly so)."""

    right: tuple[bytes, ...]
    wrong: tuple[bytes, ...]


#: White space that is none for HTTP: VT, FF, CR, NEL and NBSP in Latin-1.
_NO_SPACE = (b"\x0b", b"\x0c", b"\r", b"\x85", b"\xa0")

_LINE_END = Place((b"\r\n",), (b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b" \r\n", b"\x00\r\n"))
_COLON = Place(
    (b": ", b":", b":\t ", b":  \t"), (b" : ", b"\t:", b"", b":\x0b", b"\x00:", b":\r\n ", b"\xa0:")
)
_PADDING = Place((b"", b" ", b" \t"), (b"\r\n x", *_NO_SPACE))
_LENGTH = Place(
    (b"5", b"0", b"05", b"000000000000000005"),
    (
        b"+5",
        b"-5",
        b"-0",
        b"5_0",
        b"0x5",
        b"5,5",
        b"5, 6",
        b"",
        b"\xd9\xa5",
        b"5 5",
        b"5.0",
        b"9" * 30,
        b'"5"',
    ),
)

REQUEST_PLACES = {
    "before": Place((b"", b"", b"", b"\r\n", b"\r\n\r\n"), (b"\n", b" \r\n", b"\t", b" ", b"\x00",
    b"\r\n" * 9)),
    "method": Place(
        (b"GET", b"POST", b"OPTIONS", b"HEAD", b"CONNECT", b"PUT", b"SPAM", b"get", b"M-SEARCH"),
        (b"", b"G(T", b"G\xe4T", b" GET", b"PRI"),
    ),
    "first space": Place((b" ",), (b"  ", b"\t", b"", b" \t", *_NO_SPACE)),
    "target": Place(
        (b"/", b"/a?b", b"//c", b"http://b/x", b"HTTPS://[::1]:80", b"http://b?q", b"*", b"b:80",
        b"[::1]:443"),
        (b"", b"a", b"/#f", b"/\xe4", b"/ x", b"/\x00", b"http://", b"http://u@b/", b"ftp://b/", b"b:",
        b"[::g]:1"),
    ),
    "second space": Place((b" ",), (b"  ", b"\t", b"", *_NO_SPACE)),
    "version": Place(
        (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9"),
        (b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.01", b"HTTP/1", b"HTTP/1.1 ", b"HTTP/1.\xb2", b"",
        b"ICE/1.1"),
    ),
    "line end": _LINE_END,
    "host": Place(
        (b"Host: a", b"host:A:80 ", b"Host: [::1]", b"Host:", b"HOST: %41", b"Host: 1.2.3.4:"),
        (
            b"",
            b"Host: a\r\nHost: a",
            b"Host: a, b",
            b"Host: a/b",
            b"Host: u@a",
            b"Host: [1",
            b"Host: a:66000",
            b"Host: a\x0b",
            b"Host: \xe4",
        ),
    ),
    "colon": _COLON,
    "length": _LENGTH,
    "coding": Place(
        (b"chunked", b"Chunked", b",chunked", b"chunked ,\t"),
        (
            b"gzip, chunked",
            b"chunked, gzip",
            b"chunked, chunked",
            b"identity",
            b"xchunked",
            b"\x0bchunked",
            b"chunked;a=b",
            b"",
            b"chunked\x85",
            b'"chunked"',
        ),
    ),
    "padding": _PADDING,
    "framing twice": Place(
        (b"",),
        (
            b"Content-Length: 5\r\n",
            b"Content-Length: 6\r\n",
            b"content-length:0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding :chunked\r\n",
            b"Transfer_Encoding: chunked\r\n",
            b"Content-Length:\r\n 0\r\n",
        ),
    ),
    "name": Place((b"X", b"x-y_z", b"!#$%&'*+-.^`|~9"), (b"", b"X Y", b" X", b"\tX", b"X\xe4", b"X(",
    b"\x00", b'"X"')),
    "value": Place((b"", b"1", b"a b\tc", b"\xe4\x80\xff", b", ,", b'"q\\"'), (b"\x00", b"a\nb", b"a\rb",
    b"\x7f", b"\x01")),
    "folded": Place((b"",), (b" folded\r\n", b"\tX: 1\r\n", b"\r\n folded\r\n")),
    "head end": Place((b"\r\n",), (b"\n", b"\r", b"", b" \r\n", b"\r\r\n")),
}  # fmt: skip

CHUNK_PLACES = {
    "size": Place(
        (b"5", b"05", b"0000000000000005"),
        (b"+5", b"-5", b"0x5", b"5_", b" 5", b"5 ", b"", b"\xd9\xa5", b"5h", b"f" * 16, b"0" * 16 + b"5",
        b"5L", b"5\x0b"),
    ),
    "extension": Place(
        (b"", b"", b";a", b";a=b", b' ; a = "b;\\"c"', b";a;b"),
        (b";", b"; =", b";a=", b';a="b', b";a\n", b";a\rb", b";a\x00", b"a", b";\xe4", b";a=b c", b";a=b ",
        b' ;a="\x01"'),
    ),
    "size end": _LINE_END,
    "payload": Place((b"hello", b"\r\n0\r\n", b"GET /"), (b"hell", b"hello!", b"hello ")),
    "chunk end": _LINE_END,
    "last chunk": Place((b"0", b"00", b"0;a=b"), (b"", b"-0", b"0x0", b"0 ", b"g", b"0;")),
    "last end": _LINE_END,
    "trailer": Place(
        (b"", b"", b"X-Sum: 1\r\n", b"Content-Length: 7\r\n", b"Host: b\r\nX:\r\n"),
        (b"X : 1\r\n", b" X: 1\r\n", b"X\r\n", b"X: 1\n", b"X: \x00\r\n", b": 1\r\n", b"X: a\rb\r\n",
        b"X: 1\r\n fold\r\n"),
    ),
    "body end": Place((b"\r\n",), (b"\n", b"\r", b"", b"XX", b"\r\r\n", b" \r\n")),
}  # fmt: skip

RESPONSE_PLACES = {
    "version": Place((b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.9"), (b"HTTP/2.0", b"http/1.1", b"HTTP/1.", b"",
    b"HTTP/1.11")),
    "space": Place((b" ",), (b"  ", b"\t", b"", *_NO_SPACE)),
    "status": Place(
        (b"200", b"404", b"201", b"204", b"205", b"304", b"500", b"206", b"999"),
        (b"20", b"2000", b"099", b"+20", b"2_0", b"20\xb2", b"000", b""),
    ),
    "reason": Place((b"", b" ", b" OK", b" \t\xe4 x"), (b" a\nb", b" a\rb", b" \x00", b"OK", b" a\r\nX: 1")),
    "line end": _LINE_END,
    "name": Place((b"X", b"Server", b"x_y", b"!#~"), (b"", b"X Y", b" X", b"X\xe4", b"X\x00", b"X\r\nY")),
    "colon": _COLON,
    "value": Place(
        (b"", b"1", b"a b\tc", b"\xe4\x80", b'"q"', b"a: b"),
        (b"a\nb", b"a\rb", b"a\r\nInjected: 1", b"\x00", b"\x7f", b"a\r\n b", b"a\r\n\r\nb"),
    ),
    "length": _LENGTH,
    "framing twice": Place(
        (b"", b"", b"Content-Length: 5\r\n"),
        (b"Content-Length: 6\r\n", b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n"),
    ),
    "head end": Place((b"\r\n",), (b"\n", b"\r", b"", b" \r\n")),
}  # fmt: skip


def one_by_one(places: Mapping[str, Place], compose: Callable[[dict[str, bytes]], Message]) -> list[Message]:
    """Give a message for each word of each place; at all other places stands what is usual."""
    usual = {name: place.right[0] for name, place in places.items()}
    return [
        compose(usual | {name: word})
        for name, place in places.items()
        for word in dict.fromkeys(place.right + place.wrong)
    ]


def _words_in_place() -> dict[bytes, list[tuple[bytes, tuple[bytes, ...]]]]:
    """Give by their first octet the words that are right, each with what may stand in its place."""
    found = defaultdict(list)
    for table in (REQUEST_PLACES, CHUNK_PLACES, RESPONSE_PLACES):
        for place in table.values():
            for word in place.right:
                found[word[:1]].append((word, place.right + place.wrong))
    return found


_WORDS_IN_PLACE = _words_in_place()


def exchange_a_word(data: bytes, chance: Random) -> bytes:
    """Put another word where a right one stands, or a line where one begins."""
    for _ in range(9):
        at = chance.randrange(len(data) + 1)
        words = _WORDS_IN_PLACE[
            data[at : at + 1] if data[at - 1 : at] != b"\n" or chance.randrange(2) else b""
        ]
        if there := [found for found in words if data.startswith(found[0], at)]:
            word, others = chance.choice(there)
            return data[:at] + chance.choice(others) + data[at + len(word) :]
    return data
