"""HTTP/1.1 without a socket, a clock or a logger: octets in, values out.

``parse_head`` reads a request's head and ``body_decoder`` its body;
``parse_response_head`` reads what a handler wrote and ``frame_response`` decides how
it goes out. ``parse_preamble`` and ``claimed_client`` say whom a trusted proxy
speaks for. A peer's fault is a ``ProtocolError``, a handler's a ``HandlerError``.
"""

from __future__ import annotations

from forkhttp.wire.answer import (
    UNTIL_CLOSE,
    ResponseFraming,
    frame_interim,
    frame_response,
    has_body,
    opens_tunnel,
    plain_answer,
)
from forkhttp.wire.body import LAST_CHUNK, ChunkedBody, LengthBody, TunnelBody, body_decoder, encode_chunk
from forkhttp.wire.fields import CHUNKED
from forkhttp.wire.forwarded import Client, Family, TrustedPeers, claimed_client
from forkhttp.wire.head import HeadLimits, RequestHead, parse_head
from forkhttp.wire.preamble import Preamble, parse_preamble
from forkhttp.wire.response import ResponseHead, parse_response_head

__all__ = [
    "CHUNKED",
    "LAST_CHUNK",
    "UNTIL_CLOSE",
    "ChunkedBody",
    "Client",
    "Family",
    "HeadLimits",
    "LengthBody",
    "Preamble",
    "RequestHead",
    "ResponseFraming",
    "ResponseHead",
    "TrustedPeers",
    "TunnelBody",
    "body_decoder",
    "claimed_client",
    "encode_chunk",
    "frame_interim",
    "frame_response",
    "has_body",
    "opens_tunnel",
    "parse_head",
    "parse_preamble",
    "parse_response_head",
    "plain_answer",
]
