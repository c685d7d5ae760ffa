"""The corpus: messages in plain files, each with what must become of it beside it.

``tests/corpus/requests`` holds what peers send, ``tests/corpus/responses`` what handlers
write, in ``valid`` and ``invalid``. A message is a pair of files: ``NAME.http``, its octets and
nothing else, and ``NAME.toml``, one of the expectations below. Whoever tests messages
loads them here; a file that does not say what it should is an error with its name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

import msgspec

CORPUS = Path(__file__).parent.parent / "corpus"

#: Names and values of fields, in the order of the wire.
Pairs = list[tuple[str, str]]


class CorpusError(Exception):
    """A file of the corpus does not say what it should."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is said of every message.

    Attributes:
        why: one sentence, with the section of an RFC or an advisory.
        rows: numbers of the duties that it shows; there may be none.
    """

    why: Annotated[str, msgspec.Meta(min_length=1)]
    rows: list[Annotated[int, msgspec.Meta(ge=1, le=64)]]

    folder: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What a body comes to.

    Attributes:
        body: as latin-1 text.
        body_octets: in place of a long ``body``, its length.
    """

    body: str | None = None
    body_octets: int | None = None

    def __post_init__(self) -> None:
        """Check that one of the two is given.

        Raises:
            ValueError: both are, or none.
        """
        if (self.body is None) == (self.body_octets is None):
            raise ValueError("either `body` or `body_octets` is needed")

    def is_body(self, octets: bytes) -> bool:
        """Whether these octets are what is expected."""
        if self.body is None:
            return len(octets) == self.body_octets
        return octets == self.body.encode("latin-1")


@dataclass(frozen=True, kw_only=True)
class ValidRequest(Payload, Expectation):
    """A request that reaches its handler.

    Attributes:
        target: as it is handed on: absolute-form is reduced.
        minor: the peer speaks HTTP/1.minor; a higher one counts as 1.
        persistent: whether the connection goes on.
        fields: all of them; None: not looked at.
    """

    method: str
    target: str
    minor: Literal[0, 1]
    persistent: bool
    fields: Pairs | None = None

    folder = "requests/valid"


@dataclass(frozen=True, kw_only=True)
class InvalidRequest(Expectation):
    """A request that is refused.

    Attributes:
        status: of the refusal.
        where: ``body`` if the head is fine.
    """

    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    where: Literal["head", "body"]

    folder = "requests/invalid"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The request that a handler answers.

    Attributes:
        minor: the peer speaks HTTP/1.minor.
        persistent: whether the peer wishes to keep the connection.
    """

    method: str = "GET"
    minor: Literal[0, 1] = 1
    persistent: bool = True


@dataclass(frozen=True, kw_only=True)
class ValidResponse(Payload, Expectation):
    """What a handler writes and what, in one form or another, goes out.

    Attributes:
        to: what it answers.
        status: of the final answer.
        framing: what delimits it on the wire; ``none`` where there can be no body.
        persistent: whether the connection goes on.
    """

    to: Asked = field(default_factory=Asked)
    status: Annotated[int, msgspec.Meta(ge=200, le=999)]
    framing: Literal["length", "chunked", "close", "none"]
    persistent: bool

    folder = "responses/valid"


@dataclass(frozen=True, kw_only=True)
class InvalidResponse(Expectation):
    """What a handler writes and what must not go out.

    Attributes:
        where: ``body`` if the first head is fine.
    """

    where: Literal["head", "body"]

    folder = "responses/invalid"


E = TypeVar("E", bound=Expectation)


@dataclass(frozen=True)
class Case(Generic[E]):
    """One message.

    Attributes:
        name: of its files, without their ending.
        octets: head and body as on the wire.
    """

    name: str
    octets: bytes
    expected: E

    def __str__(self) -> str:
        """Name it in the id of a test."""
        return self.name


def cases(kind: type[E], corpus: Path = CORPUS) -> tuple[Case[E], ...]:
    """All messages of a kind, in the order of their names.

    Raises:
        CorpusError: a file is alone, or does not say what it should.
    """
    folder = corpus / kind.folder
    endings: dict[str, set[str]] = {}
    for path in folder.iterdir():
        endings.setdefault(path.stem, set()).add(path.suffix)
    for name, found in endings.items():
        if found != {".http", ".toml"}:
            raise CorpusError(f"{folder / name}: expected .http and .toml, found {', '.join(sorted(found))}")
    return tuple(
        Case(name, (folder / f"{name}.http").read_bytes(), _expectation(kind, folder / f"{name}.toml"))
        for name in sorted(endings)
    )


def _expectation(kind: type[E], path: Path) -> E:
    try:
        table = tomllib.loads(path.read_text())
        unknown = set(table) - {each.name for each in fields(kind)}
        if unknown:
            raise CorpusError(f"{path}: unknown key {min(unknown)}")
        return msgspec.convert(table, kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise CorpusError(f"{path}: {error}") from error
