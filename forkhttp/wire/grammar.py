r"""The grammar of HTTP/1.1 in octets, as far as requests and responses share it.

Everything is matched on ``bytes``: no Unicode digit, space or letter can pass
for an ASCII one. Numbers are matched before they are converted, lines end in
CRLF and in nothing else.

A *field section* is handed around with the LF of the line before it in front
(``b"\nHost: a\r\nAccept: b\r\n"``), so that each field line, the first one
too, follows an LF and can be searched for as ``\nname:``.

Source: RFC 9110 section 5, RFC 9112 sections 2 to 5.
"""

from __future__ import annotations

import re

# Quantifiers of single octets are possessive; those of groups are not, because Python before
# 3.11.5 matches such a group wrongly where it holds another choice (gh-106052), and
# a grammar in which each octet decides gives nothing to try again.

#: One octet of a token.
TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = TCHAR + rb"++"

#: What field values and reason phrases consist of: HTAB, SP, VCHAR and obs-text.
TEXT = rb"[\t\x20-\x7e\x80-\xff]"

#: What is no text: the control characters, CR and LF among them.
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

#: A Content-Length. Eighteen digits stay below 2**63; no body is that long.
DIGITS = re.compile(rb"[0-9]{1,18}")

#: A field line without its CRLF. Neither obs-fold nor white space before the colon passes.
FIELD_LINE = re.compile(TOKEN + rb":" + TEXT + rb"*+")

#: A field section with the LF before it.
SECTION = re.compile(rb"\n(?:" + FIELD_LINE.pattern + rb"\r\n)*")

#: What a head may take beside its first line, in octets; nginx stops at 32 KiB.
SECTION_LIMIT = 64 << 10

#: Results about heads are remembered for this many heads, of this many octets
#: at most: 256 KiB a process and use. One client, and a proxy in front of many,
#: repeats its fields from request to request; so does a handler.
MEMO_ENTRIES = 256
MEMO_OCTETS = 1 << 10


def lines_of(name: bytes) -> re.Pattern[bytes]:
    """Give the pattern of all lines of one name in a field section, each with its CRLF."""
    return re.compile(rb"(?<=\n)" + re.escape(name) + rb":[^\n]*+\n", re.IGNORECASE)


def list_elements(value: bytes) -> list[bytes]:
    """Take a field value as a list; empty elements are dropped.

    Source: RFC 9110 section 5.6.1.2.
    """
    return [stripped for element in value.split(b",") if (stripped := element.strip(b" \t"))]
