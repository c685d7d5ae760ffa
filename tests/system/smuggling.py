"""Requests that two parties may read differently; each hides another one, for the token "evil".

Every payload is, for RFC 9112, one request or none: none is two. So there is at most one answer to it, and
who shares the connection afterwards gets an answer of their own.

Source: the classes of attack that other servers were hit by, as their advisories name them.
"""

from __future__ import annotations

from typing import NamedTuple

EVIL = b"GET /token/evil HTTP/1.1\r\nHost: evil\r\n\r\n"
_LENGTH = b"%d" % len(EVIL)
_SIZE = b"%x" % len(EVIL)

#: More than a server holds back before it enters the handler.
_LARGE = EVIL * 3000


class Payload(NamedTuple):
    """What an attacker sends.

    Attributes:
        octets: at once; METHOD and TARGET stand for those of the request.
        later: when the first answer is there, or does not come.
        whole: whether that is all that its head promises.
    """

    octets: bytes
    later: bytes = b""
    whole: bool = True

    def aimed(self, method: str, target: str) -> Payload:
        """Give it with a method and a target."""
        words = f"{method} {target} ".encode()
        return self._replace(octets=self.octets.replace(b"METHOD TARGET ", words, 1))


def _head(*fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b"METHOD TARGET " + version, b"Host: a", *fields, b"", b""))


def _with_length(*fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """Give a request with a body of known length, and whatever else."""
    return _head(b"Content-Length: " + _LENGTH, *fields, version=version) + EVIL


def _chunked(body: bytes, *fields: bytes) -> bytes:
    return _head(b"Transfer-Encoding: chunked", *fields) + body


def _chunk(size: bytes = _SIZE, data: bytes = EVIL, end: bytes = b"\r\n") -> bytes:
    return size + b"\r\n" + data + end + b"0\r\n\r\n"


#: Whole and well-formed: what matters is a handler that does not read the body. Sent to every handler.
WELL_FORMED = {
    "CL.0": Payload(_with_length()),
    "TE.0": Payload(_chunked(_chunk())),
    "TE.0 in two chunks": Payload(
        _chunked(b"4\r\n" + EVIL[:4] + b"\r\n" + _chunk(b"%x" % (len(EVIL) - 4), EVIL[4:]))
    ),
    "trailer merge": Payload(
        _chunked(b"0\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\nHost: evil\r\n\r\n")
    ),
    "Expect": Payload(_with_length(b"Expect: 100-continue")),
    "Expect, body after the answer": Payload(
        _head(b"Content-Length: " + _LENGTH, b"Expect: 100-continue"), EVIL
    ),
    "Expect, no body": Payload(_head(b"Content-Length: " + _LENGTH, b"Expect: 100-continue"), whole=False),
    "Expect, chunked": Payload(_chunked(b"", b"Expect: 100-continue"), _chunk()),
    "Upgrade with a body": Payload(_with_length(b"Connection: upgrade", b"Upgrade: websocket")),
    "HTTP/1.0 keep-alive with CL": Payload(_with_length(b"Connection: keep-alive", version=b"HTTP/1.0")),
    "long body": Payload(_head(b"Content-Length: %d" % len(_LARGE)) + _LARGE),
    "long body after the answer": Payload(
        _head(b"Content-Length: %d" % len(_LARGE)) + _LARGE[:70_000], _LARGE[70_000:]
    ),
    "long chunk": Payload(_chunked(_chunk(b"%x" % len(_LARGE), _LARGE))),
}

#: Octets that some server once took for white space, for an end, or for nothing.
_STRANGE = {
    "NUL": b"\0",
    "CR": b"\r",
    "LF": b"\n",
    "VT": b"\x0b",
    "FF": b"\x0c",
    "0x85": b"\x85",
    "0xA0": b"\xa0",
    "SP": b" ",
    "HTAB": b"\t",
}

#: Values of Content-Length that are none, or not one.
_LENGTHS = {
    "plus": b"+" + _LENGTH,
    "minus": b"-" + _LENGTH,
    "minus zero": b"-0",
    "underscore": b"4_0",
    "hexadecimal": b"0x" + _SIZE,
    "Arabic digits": "\u0664\u0660".encode(),
    "empty": b"",
    "list": _LENGTH + b", " + _LENGTH,
    "list, other first": b"0, " + _LENGTH,
    "fraction": _LENGTH + b".0",
    "exponent": b"4e1",
    "leading zeros": b"000" + _LENGTH,
    "5000 digits": b"9" * 5000,
    "overflow": b"%d" % ((1 << 64) + len(EVIL)),
    "quoted": b'"' + _LENGTH + b'"',
    "parameter": _LENGTH + b";a=b",
}

#: Values of Transfer-Encoding that are not plainly "chunked".
_CODINGS = {
    "xchunked": b"xchunked",
    "identity": b"identity",
    "chunked, identity": b"chunked, identity",
    "identity, chunked": b"identity, chunked",
    "chunked, chunked": b"chunked, chunked",
    "gzip": b"gzip",
    "gzip, chunked": b"gzip, chunked",
    "quoted": b'"chunked"',
    "parameter": b"chunked;a=b",
    "empty": b"",
    "capitals": b"CHUNKED",
    "empty element": b", chunked",
}

#: Chunks whose frame is no frame.
_CHUNKS = {
    "plus": _chunk(b"+" + _SIZE),
    "minus": _chunk(b"-" + _SIZE),
    "0x": _chunk(b"0x" + _SIZE),
    "underscore": _chunk(b"2_8"),
    "space before": _chunk(b" " + _SIZE),
    "space behind": _chunk(_SIZE + b" "),
    "overflow": _chunk(b"1" + b"0" * 16 + _SIZE.zfill(8)),
    "no size": _chunk(b""),
    "bare LF": _SIZE + b"\n" + EVIL + b"\n0\n\n",
    "bare CR": _SIZE + b"\r" + EVIL + b"\r0\r\r",
    "TERM.EXT": b"2;\n" + b"xx" + b"\r\n" + _chunk(),
    "EXT.TERM": b"2;a\r\n" + b"xx" + b"\n" + _chunk(),
    "LF in an extension": b"0;a\n\r\n\r\n" + EVIL,
    "extension flood": _chunk(_SIZE + b";" + b"a" * 5000),
    "no end": _chunk(end=b""),
    "other end": _chunk(end=b"XX"),
    "end in one LF": _chunk(end=b"\n"),
    "shorter than its data": _chunk(b"2"),
    "request in the trailers": b"0\r\n" + EVIL,
    "space before a trailer's colon": b"0\r\nX : a\r\n\r\n" + EVIL,
}

#: Doubtful in themselves, whatever the handler does.
DOUBTFUL = {
    "CL.TE": Payload(
        _head(b"Content-Length: %d" % (len(EVIL) + 5), b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + EVIL
    ),
    "TE.CL": Payload(_head(b"Transfer-Encoding: chunked", b"Content-Length: 4") + _chunk()),
    "TE.TE": Payload(_chunked(_chunk(), b"Transfer-Encoding: identity")),
    "TE.TE, chunked twice": Payload(_chunked(_chunk(), b"Transfer-Encoding: chunked")),
    "0.CL": Payload(_head(b"Content-Length: " + _LENGTH)),
    "0.TE": Payload(_head(b"Transfer-Encoding: chunked")),
    "HTTP/1.0 with TE": Payload(
        _head(b"Connection: keep-alive", b"Transfer-Encoding: chunked", version=b"HTTP/1.0") + _chunk()
    ),
    "duplicate CL": Payload(_with_length(b"Content-Length: " + _LENGTH)),
    "duplicate CL, zero last": Payload(_with_length(b"Content-Length: 0")),
    "underscore in the name": Payload(_with_length(b"Content_Length: 0", b"Transfer_Encoding: chunked")),
    "obs-fold in CL": Payload(_head(b"Content-Length:\r\n " + _LENGTH) + EVIL),
    "obs-fold in TE": Payload(_head(b"Transfer-Encoding:\r\n chunked") + _chunk()),
    "obs-fold hides TE": Payload(_with_length(b"X: a\r\n Transfer-Encoding: chunked")),
    "white space before the first field": Payload(
        b"METHOD TARGET HTTP/1.1\r\n Content-Length: " + _LENGTH + b"\r\nHost: a\r\n\r\n" + EVIL
    ),
    "line of white space": Payload(_head(b" ", b"Content-Length: " + _LENGTH) + EVIL),
    "head in bare LF": Payload(_with_length().replace(b"\r\n", b"\n", 3)),
    "head in bare CR": Payload(_with_length().replace(b"\r\n", b"\r", 3)),
    "field without a colon": Payload(_with_length(b"Transfer-Encoding")),
    "field without a name": Payload(_with_length(b": chunked")),
    "no Host": Payload(_with_length().replace(b"Host: a\r\n", b"")),
    "two Hosts": Payload(_with_length(b"Host: b")),
    "CONNECT with a tail": Payload(
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: " + _LENGTH + b"\r\n\r\n" + EVIL
    ),
    "unknown expectation": Payload(_with_length(b"Expect: miracles")),
    "HTTP/0.9": Payload(b"GET /ignore\r\n" + EVIL),
    "HTTP/2": Payload(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EVIL),
    "lower-case version": Payload(_with_length(version=b"http/1.1")),
    "version 1.10": Payload(_with_length(version=b"HTTP/1.10")),
    "two spaces": Payload(_with_length().replace(b"METHOD TARGET ", b"METHOD TARGET  ")),
    "garbage": Payload(b"\x16\x03\x01\x02\x00\x01\x00" + EVIL),
    **{f"CL {name}": Payload(_head(b"Content-Length: " + value) + EVIL) for name, value in _LENGTHS.items()},
    **{
        f"TE {name}": Payload(_with_length(b"Transfer-Encoding: " + value))
        for name, value in _CODINGS.items()
    },
    **{f"chunk {name}": Payload(_chunked(body)) for name, body in _CHUNKS.items()},
    **{
        f"{name} {where}": Payload(octets)
        for name, octet in _STRANGE.items()
        for where, octets in (
            ("behind the name CL", _head(b"Content-Length" + octet + b": " + _LENGTH) + EVIL),
            ("behind the name TE", _with_length(b"Transfer-Encoding" + octet + b": chunked")),
            ("before the value TE", _with_length(b"Transfer-Encoding:" + octet + b"chunked")),
            ("within a value", _with_length(b"X: a" + octet + b"Transfer-Encoding: chunked")),
        )
    },
}

#: Handlers that answer without a look at the body: method and target.
CARELESS = (
    *((method, "/ignore") for method in ("GET", "POST", "PUT", "OPTIONS", "HEAD", "BREW")),
    *(("POST", f"/refuse/{status}") for status in (401, 403, 405, 413, 417, 500)),
    ("POST", "/nowhere"),
    ("POST", "/raise"),
    ("POST", "/early"),
)


def attacks() -> list[tuple[str, str, Payload]]:
    """Give every attack: its name, its method and what is sent."""
    well_formed = [
        (f"{name}, {method} {target}", method, payload.aimed(method, target))
        for name, payload in WELL_FORMED.items()
        for method, target in CARELESS
    ]
    doubtful = [(name, "POST", payload.aimed("POST", "/ignore")) for name, payload in DOUBTFUL.items()]
    return well_formed + doubtful
