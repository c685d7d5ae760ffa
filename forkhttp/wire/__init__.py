"""HTTP/1.1 without a socket, a clock or a logger: octets in, values out.

``parse_head`` reads a request's head and ``body_decoder`` its body;
``parse_response_head`` reads what a handler wrote and ``frame_response`` decides how
it goes out. A peer's fault is a ``ProtocolError``, a handler's a ``HandlerError``.
"""

from __future__ import annotations

from forkhttp.wire.answer import UNTIL_CLOSE, ResponseFraming, frame_interim, frame_response, plain_answer
from forkhttp.wire.body import LAST_CHUNK, ChunkedBody, LengthBody, body_decoder, encode_chunk
from forkhttp.wire.fields import CHUNKED
from forkhttp.wire.head import HeadLimits, RequestHead, parse_head
from forkhttp.wire.response import ResponseHead, parse_response_head

__all__ = [
    "CHUNKED",
    "LAST_CHUNK",
    "UNTIL_CLOSE",
    "ChunkedBody",
    "HeadLimits",
    "LengthBody",
    "RequestHead",
    "ResponseFraming",
    "ResponseHead",
    "body_decoder",
    "encode_chunk",
    "frame_interim",
    "frame_response",
    "parse_head",
    "parse_response_head",
    "plain_answer",
]
