"""Fuzz one target in this process, guided by the edges of ``forkhttp.wire`` that it reaches.

    python -m tests.fuzz.guided TARGET [argument of libFuzzer]...

Only ``forkhttp.wire`` is instrumented: what else runs, the promises and the referees among it,
would only draw the search away. The process ends with libFuzzer's status: 0, or 77 if an
exception got out.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).parent.parent.parent


def modules_beside(package: str) -> list[str]:
    """Give the names of forkhttp's modules that are not in ``package``; atheris takes them as exceptions."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "forkhttp").rglob("*.py"))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if name != package and not name.startswith(package + ".")]


def main(name: str, arguments: list[str]) -> None:
    """Search until libFuzzer's arguments say that it is enough, or something was found."""
    atheris = importlib.import_module("atheris")  # no dependency of the tests
    with atheris.instrument_imports(include=["forkhttp"], exclude=modules_beside("forkhttp.wire")):
        targets = importlib.import_module("tests.fuzz.targets")
        exchange_a_word = importlib.import_module("tests.wire.places").exchange_a_word

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        """Change octets blindly, or what means something to HTTP: a grammar is hard to guess."""
        chance = Random(seed)  # noqa: S311 - of a test
        if chance.randrange(2):
            data = exchange_a_word(data, chance)[:size]
        return data if chance.randrange(2) else atheris.Mutate(data, size)

    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name].check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
