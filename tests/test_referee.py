"""The referee itself: it sees what it is there to see, and takes no fault for one that is none."""

from __future__ import annotations

import pytest

from tests.referee import BrokenOff, Referee

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n"

#: What is sent, what comes back, and the methods of the requests that are answered.
FAIR = {
    "two in turn": (GET + GET, OK + OK, ["GET", "GET"]),
    "no body to HEAD": (HEAD + GET, OK.removesuffix(b"ok") + OK, ["HEAD", "GET"]),
    "behind a body": (b"PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET " + GET, OK + OK, ["PUT", "GET"]),
    "behind chunks": (CHUNKED + b"4;a\r\nGET \r\n0\r\nX: a\r\n\r\n" + GET, OK + OK, ["POST", "GET"]),
    "behind empty lines": (b"\r\n" * 4 + GET, OK, ["GET"]),
    "behind a preamble": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + HEAD, OK.removesuffix(b"ok"), ["HEAD"]),
    "to a part of a head": (HEAD[:9], LAST.removesuffix(b"ok"), ["HEAD"]),
    "to no request at all": (b"garbage\r\n\r\n" + GET, LAST, ["GET"]),
    "an interim one": (GET, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, ["GET", "GET"]),
    "up to the end": (GET, b"HTTP/1.1 200 OK\r\n\r\nok", ["GET"]),
}

#: The same, for what is no answer to it.
FOUL = {
    "two to one request": (GET, OK + OK),
    "unasked": (b"", OK),
    "octets behind the last answer": (GET + GET, LAST + OK),
    "a body to HEAD": (HEAD, OK),
    "a body of a 304": (GET, OK.replace(b"200", b"304")),
    "a switch that nobody asked for": (GET, b"HTTP/1.1 101 A\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"),
    "no status line": (GET, b"ok\r\n\r\n"),
    "a chunk without its end": (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX"),
    "two lengths": (GET, OK.replace(b"Content", b"Content-Length: 3\r\nContent")),
}

#: Answers that the connection's end cuts off.
CUT = {
    "in the head": OK[:20],
    "in the body": OK[:-1],
    "before the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
}


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(("sent", "heard", "methods"), FAIR.values(), ids=FAIR)
def test_whole_answers_are_told_apart(sent: bytes, heard: bytes, methods: list[str], step: int) -> None:
    referee = Referee()
    for at in range(0, len(sent), step):
        referee.sent(sent[at : at + step])
    for at in range(0, len(heard), step):
        referee.heard(heard[at : at + step])
    referee.heard(b"")
    assert [verdict.method for verdict in referee.verdicts] == methods
    assert referee.verdicts[-1].end == len(heard)


@pytest.mark.parametrize(("sent", "heard"), FOUL.values(), ids=FOUL)
def test_what_is_no_answer_is_seen(sent: bytes, heard: bytes) -> None:
    referee = Referee()
    referee.sent(sent)
    with pytest.raises(AssertionError):
        referee.heard(heard)


@pytest.mark.parametrize("heard", CUT.values(), ids=CUT)
def test_an_answer_that_is_cut_off_is_not_whole(heard: bytes) -> None:
    referee = Referee()
    referee.sent(GET)
    referee.heard(heard)
    assert referee.within_answer
    with pytest.raises(BrokenOff):
        referee.heard(b"")


def test_a_reset_after_the_last_answer_is_seen() -> None:
    referee = Referee()
    referee.sent(GET)
    referee.reset()
    referee.heard(LAST)
    with pytest.raises(AssertionError):
        referee.reset()
