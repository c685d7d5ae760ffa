"""What peers send that a row of the duties forbids: octets for the core and for a socket alike.

``HEADS`` are whole heads, or as much of one as must be enough for the refusal; ``CHUNKS`` are
chunked bodies behind a head that is fine. Each is answered with the status beside it.
"""

from __future__ import annotations


def head(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A head with a Host."""
    return b"\r\n".join([line, b"Host: a", *fields, b"", b""])


def lines(*requests: bytes) -> list[bytes]:
    """Heads of these request lines."""
    return [head(line=line) for line in requests]


def fields(*probes: bytes) -> list[bytes]:
    """Heads with one of these field lines each."""
    return [head(probe) for probe in probes]


def hosts(*values: bytes) -> list[bytes]:
    """Heads with one of these as Host."""
    return [b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n" for value in values]


LENGTH = b"Content-Length: 5"
CODING = b"Transfer-Encoding: chunked"
#: What is no field line, and what no value may hold.
NO_FIELDS = b'NoColon|: empty|:|A B: c|A(: b|A\xe4: b|"A": b|A\x00: b|A@: b'.split(b"|")
NO_TEXT = [b"\r", b"\n", b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x7f"]

_OLD = b"POST / HTTP/1.0"

#: Row: status, heads.
HEADS: dict[int, tuple[int, list[bytes]]] = {
    1: (
        400,
        fields(
            b"Content-Length: \xd9\xa5",
            b"Content-Length: \xb2",
            b"Content-Length: \xa05",
            b"Content-Length: 5\x85",
            b"Transfer-Encoding: \xa0chunked",
            b"Transfer-Encoding: chunked\x85",
        )
        + lines(b"GET\xa0/ HTTP/1.1", b"GET / HTTP/1.\xb9", b"GET /\xe4 HTTP/1.1", b"GET\xff / HTTP/1.1"),
    ),
    2: (
        400,
        lines(b"GET /\rX: 1 HTTP/1.1", b"GET\r/ HTTP/1.1", b"GET / HTTP/1.1\r")
        + fields(b"X: a\rContent-Length: 5", b"X\r: a", b"X:\ra", b"X: a\r\r")
        + [b"GET / HTTP/1.1\rHost: a\r\r"],
    ),
    3: (
        400,
        [
            b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n"
            for line in b" |\t| X: 1|\tX: 1| \t |\x0b|\xa0".split(b"|")
        ],
    ),
    4: (400, [b"\r\n" * 5 + head(), b"\r\n" * 1000, b"\n" + head()]),
    5: (
        400,
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # TLS
            b"\x00\x00\x00\x85\xffSMB",
            b"\x05\x01\x00",  # SOCKS
            b'{"jsonrpc":',
            b"<policy-file-request/>\0",
            b"*1\r\n$4\r\nPING\r\n",  # Redis
            b"SSH-2.0-OpenSSH\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            bytes(range(128, 256)),
        ],
    ),
    6: (
        400,
        lines(
            *[
                b"GET / " + version
                for version in (
                    b"http/1.1|Http/1.1|HTTP/1.01|HTTP/01.1|HTTP/1|HTTP/1.|HTTP/.1|HTTP/11|HTTP/1.1.1|"
                    b"HTTP/1,1|HTTP/1.x|HTTP/+1.1|HTTP 1.1|HTTP/ 1.1|HTTPS/1.1|ICY/1.1|1.1|HTTP/1.1\t|"
                    b"HTTP/\xd9\xa1.1||HTTP/-1.1|HTTP/1.1 HTTP/1.1"
                ).split(b"|")
            ]
        ),
    ),
    7: (
        414,
        [
            *lines(b"GET /" + b"a" * 8190 + b" HTTP/1.1", b"OPTIONS http://a/" + b"a" * 8190 + b" HTTP/1.1"),
            b"GET /" + b"a" * 8190,
        ],
    ),
    9: (
        400,
        lines(
            *(
                b"GET /|GET|GET  / HTTP/1.1|GET /  HTTP/1.1| GET / HTTP/1.1|GET / HTTP/1.1 |"
                b"GET\t/\tHTTP/1.1|GET /a b HTTP/1.1|GET /a\x0bb HTTP/1.1|GET /\x0c HTTP/1.1|"
                b"GET /\x00 HTTP/1.1|GET /\x7f HTTP/1.1|GE(T / HTTP/1.1|G@T / HTTP/1.1|/ HTTP/1.1|"
                b"GET /#a HTTP/1.1|GET a HTTP/1.1|GET ?a HTTP/1.1|GET ftp://a/ HTTP/1.1"
            ).split(b"|")
        ),
    ),
    11: (
        400,
        [
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: 1\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.2\r\nHosts: a\r\n\r\n",
        ],
    ),
    12: (
        400,
        [
            *fields(b"Host: a", b"Host: b", b"X: 1\r\nhOsT:"),
            head(b"Host: a", line=b"GET / HTTP/1.0"),
            head(b"Host: a", line=b"GET http://a/ HTTP/1.1"),
        ],
    ),
    13: (
        400,
        hosts(
            *(
                b"a b|a, b|a/b|a?b|a#b|a@b|a\\b|a:b|a:65536|a:-1|a:+1|a:1:2|:1|[::1|::1|[::1]a|[g::]|[]|"
                b'http://a|%4|%zz|"a"|<a>|a\xe4|a\x00|a\tb'
            ).split(b"|"),
            b"a" * 256,
            b"a|b",
        ),
    ),
    14: (400, lines(*[b"GET http://%b HTTP/1.1" % it for it in (b"", b"/", b"[::1/", b"u@a/", b"a:x/")])),
    15: (
        400,
        lines(
            *(
                b"GET * HTTP/1.1|POST * HTTP/1.1|options * HTTP/1.1|CONNECT * HTTP/1.1|"
                b"OPTIONS *a HTTP/1.1|OPTIONS ** HTTP/1.1"
            ).split(b"|")
        ),
    ),
    16: (
        400,
        lines(
            *[
                b"CONNECT " + target + b" HTTP/1.1"
                for target in b"b|b:|:1|b:0|b:65536|b:x|b:-1|b:1/|/|http://b:1/|u@b:1|[::1]".split(b"|")
            ],
            b"GET b:443 HTTP/1.1",
            b"OPTIONS b:443 HTTP/1.1",
        ),
    ),
    18: (
        400,
        [
            *fields(
                *[b"Content-Length" + space + b": 5" for space in (b" ", b"\t", b"\x0b", b"\x0c", b"\r")]
            ),
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        ],
    ),
    19: (
        400,
        fields(
            b"X: a\r\n b",
            b"X: a\r\n\tb",
            b"Transfer-Encoding:\r\n chunked",
            b"Content-Length: 5\r\n 0",
            b"X: a\r\n \r\nY: b",
        ),
    ),
    20: (400, fields(*NO_FIELDS)),
    21: (
        400,
        [probe for octet in NO_TEXT for probe in fields(b"X: a" + octet + b"b", b"X: " + octet)],
    ),
    24: (
        431,
        [
            head(b"X: " + b"a" * 8190),
            b"GET / HTTP/1.1\r\nX: " + b"a" * 8190,
            b"GET / HTTP/1.1\r\n" + b"a" * 8191,
            head(*[b"X: 1"] * 100),
        ],
    ),
    25: (431, fields(b"Connection: " + b"," * 8190)),
    27: (
        501,
        fields(
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: identity, chunked",
            b"Transfer-Encoding: x, y,chunked",
            b"Transfer-Encoding: gzip;q=1, chunked",
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        ),
    ),
    28: (
        400,
        [
            head(CODING, line=_OLD),
            head(CODING, LENGTH, line=_OLD),
            head(CODING, b"Connection: keep-alive", line=_OLD),
        ],
    ),
    29: (
        400,
        [
            head(LENGTH, CODING),
            head(CODING, LENGTH),
            head(CODING, b"Content-Length: 0"),
            head(CODING, b"content-length:"),
            head(b"Content-Length: 0", b"X: 1", b"transfer-encoding: chunked"),
        ],
    ),
    30: (
        400,
        fields(
            *[
                b"Transfer-Encoding: " + codings
                for codings in (
                    b"|,|gzip|identity|chunked, gzip|chunked, identity|chunked, chunked|chunked;a=b|"
                    b'"chunked"|xchunked|chunked x|chunked\x0b|\x0bchunked|c hunked'
                ).split(b"|")
            ],
            CODING + b"\r\n" + CODING,
            CODING + b"\r\nTransfer-Encoding: identity",
            CODING + b"\r\nTransfer-Encoding: \t",
            b"Transfer-Encoding:\r\n" + CODING,
        ),
    ),
    31: (
        400,
        fields(
            *[
                b"Content-Length: " + value
                for value in (
                    b'|+5|-5|-0|5_0|0x5|5.0|5 5|5,5|5, 6|5;|five|\xd9\xa5|"5"|5\x0b|1e1|5\x00'
                ).split(b"|")
            ],
            LENGTH + b"\r\n" + LENGTH,
            LENGTH + b"\r\nContent-Length: 6",
            b"Content-Length: 0\r\n" + LENGTH,
            LENGTH + b"\r\nContent-Length:",
        ),
    ),
    32: (400, fields(*[b"Content-Length: " + b"9" * count for count in (19, 20, 40, 5000)])),
    60: (
        505,
        [
            *lines(*[b"GET / HTTP/" + version for version in b"0.9|2.0|3.0|9.9|0.0".split(b"|")]),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    ),
}

#: Row: status, chunked bodies.
CHUNKS: dict[int, tuple[int, list[bytes]]] = {
    2: (400, [b"5\rhello\r\n", b"5\r\nhello\r0\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n"]),
    18: (400, [b"0\r\nX : 1\r\n\r\n"]),
    19: (400, [b"0\r\nX: a\r\n b\r\n\r\n"]),
    20: (400, [b"0\r\n" + line + b"\r\n\r\n" for line in NO_FIELDS]),
    21: (400, [b"0\r\nX: \x00\r\n\r\n", b"0\r\nX: \x7f\r\n\r\n"]),
    32: (400, [b"f" * count + b"\r\n" for count in (17, 40, 900, 5000)]),
    34: (
        400,
        [
            b"1;a=" + b"b" * 1100,
            (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 100,
            b"1;\r\n",
            b"1;a=\r\n",
            b"1;a\x00\r\n",
            b'1;a="\r\n',
        ],
    ),
    36: (
        400,
        [
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r\n0\n\r\n",
            b"0\r\n\n",
            b"0\n\n",
            b"5;a\nhello\r\n",
            b"0\r\nX: 1\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\rhello\r\n",
            b"5\r\nhello\r\r\n",
            b"5\r\nhello\n\r0\r\n\r\n",
        ],
    ),
}
