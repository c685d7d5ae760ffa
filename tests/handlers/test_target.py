"""What a target names, and what is said when it names nothing, or too much."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forkhttp import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, WSGIHandler
from forkhttp.errors import TargetError
from forkhttp.handlers.target import prepare, resolve, resolve_class
from forkhttp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[[str, str], Path]

HANDLER = """
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    pass
"""

WSGI = """
def {name}(environ, start_response):
    return []
"""


@pytest.fixture(autouse=True)
def _modules_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import from the test's own directory, and forget what was imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of the test's directory."""

    def writing(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writing


def name_of(value: object) -> str:
    assert isinstance(value, type)
    return value.__qualname__


@pytest.mark.parametrize("spec", ["one:Handler", "one", "one.py:Handler", "one.py", "./one.py", "sub/two.py"])
def test_a_handler_is_found_by_module_or_file_with_and_without_its_name(write: Write, spec: str) -> None:
    write("one.py", HANDLER)
    write("sub/two.py", HANDLER)
    found = resolve(spec)
    assert name_of(found) == "Handler"
    assert isinstance(found, type)
    assert issubclass(found, BaseHTTPRequestHandler)


def test_a_handler_is_found_in_a_package_and_inside_a_class(write: Write) -> None:
    write("package/__init__.py", "")
    write("package/inner.py", HANDLER + "\nclass Outer:\n    Inner = Handler\n")
    assert name_of(resolve("package.inner:Handler")) == "Handler"
    assert name_of(resolve("package.inner:Outer.Inner")) == "Handler"


def test_nothing_serves_files() -> None:
    for directory, expected in (("", None), ("/srv", "/srv")):
        found = resolve("", directory)
        assert isinstance(found, functools.partial)
        assert found.func is SimpleHTTPRequestHandler
        assert found.keywords == {"directory": expected}


def test_what_does_not_take_two_arguments_is_no_application(write: Write) -> None:
    write("close.py", "def app(environ):\n    pass\n\ndef rest(*arguments):\n    pass\n")
    with pytest.raises(TargetError, match="does not take environ and start_response"):
        resolve("close:app")
    resolve("close:rest")


def test_several_handlers_are_listed(write: Write) -> None:
    write("several.py", HANDLER + "\nclass Another(BaseHTTPRequestHandler):\n    pass\n")
    with pytest.raises(TargetError) as caught:
        resolve("several")
    assert (
        str(caught.value)
        == "several defines several that could be served: Another, Handler; name one, as several:Another"
    )


def test_a_base_class_in_the_same_file_is_not_meant(write: Write) -> None:
    write("family.py", HANDLER + "\nclass Leaf(Handler):\n    pass\n")
    assert name_of(resolve("family")) == "Leaf"


def test_two_names_of_one_class_are_one(write: Write) -> None:
    write("twice.py", HANDLER + "\nhandler = Handler\n")
    assert name_of(resolve("twice")) == "Handler"


def test_imported_and_private_handlers_are_not_meant(write: Write) -> None:
    write("one.py", HANDLER)
    write(
        "importing.py",
        "from one import Handler\nclass _Own(Handler):\n    pass\nclass Mine(_Own):\n    pass\n",
    )
    assert name_of(resolve("importing")) == "Mine"


def test_a_partial_is_found_by_name_and_by_itself(write: Write) -> None:
    write("one.py", HANDLER)
    write("partially.py", "from functools import partial\nfrom one import Handler\nmake = partial(Handler)\n")
    for spec in ("partially:make", "partially"):
        assert isinstance(resolve(spec), functools.partial)


@pytest.mark.parametrize("name", ["application", "app", "wsgi_app"])
def test_a_wsgi_application_is_found_by_the_names_that_it_goes_by(write: Write, name: str) -> None:
    write("web.py", WSGI.format(name=name))
    for spec in ("web", f"web:{name}", "web.py"):
        found = resolve(spec)
        assert isinstance(found, type)
        assert issubclass(found, WSGIHandler)


def test_a_wsgi_application_of_another_name_is_found_by_it(write: Write) -> None:
    write("web.py", WSGI.format(name="serve"))
    assert isinstance(resolve("web:serve"), type)
    with pytest.raises(TargetError, match="defines no handler class and no WSGI application"):
        resolve("web")


def test_several_names_of_one_application_are_one_and_of_several_are_listed(write: Write) -> None:
    write("same.py", WSGI.format(name="app") + "\napplication = app\n")
    write("different.py", WSGI.format(name="app") + WSGI.format(name="application"))
    assert isinstance(resolve("same"), type)
    with pytest.raises(TargetError, match="different defines several that could be served: app, application"):
        resolve("different")


def test_a_handler_class_comes_before_an_application(write: Write) -> None:
    write("both.py", HANDLER + WSGI.format(name="app"))
    assert name_of(resolve("both")) == "Handler"


# -- what is not there ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("missing", "no module named 'missing' in "),
        ("missing.inner:app", "no module named 'missing' in "),
        ("os.missing:app", "no module named 'os.missing' in "),
        ("one:missing", "one has no attribute 'missing'"),
        ("one:Handlr", "one has no attribute 'Handlr'; did you mean Handler?"),
        ("one:Handler.missing", "one has no attribute 'Handler.missing'"),
        ("missing.py", "no file 'missing.py' in "),
        ("sub/missing", "no file 'sub/missing' in "),
        ("one.txt/", "no file 'one.txt' in "),
        ("one:", "'one:': expected module:attribute or path/to/file.py:attribute"),
        (":app", "':app': expected module:attribute or path/to/file.py:attribute"),
        (".one:app", "'.one' is no name of a module"),
        ("one..two", "'one..two' is no name of a module"),
        ("empty", "empty defines no handler class and no WSGI application"),
        ("empty:NUMBER", "'empty:NUMBER' is of type int; expected a subclass of BaseHTTPRequestHandler or a"),
        ("empty:Thing", "'empty:Thing' is the class Thing; expected a subclass of BaseHTTPRequestHandler or"),
        ("noext/", "no file 'noext' in "),
        ("data.txt:app", "no module named 'data' in "),
        ("./data.txt:app", "'{here}/data.txt' cannot be imported"),
    ],
)
def test_what_is_not_there_is_said(write: Write, spec: str, said: str) -> None:
    write("one.py", HANDLER)
    write("empty.py", "NUMBER = 1\nclass Thing:\n    pass\n")
    write("data.txt", "")
    with pytest.raises(TargetError) as caught:
        resolve(spec)
    assert str(caught.value).startswith(said.format(here=Path.cwd()))


def test_an_error_while_importing_passes_through(write: Write) -> None:
    write("failing.py", "1 / 0\n")
    for spec in ("failing", "failing.py", "./failing.py", "failing:app"):
        with pytest.raises(ZeroDivisionError):
            resolve(spec)


def test_a_file_that_failed_is_not_taken_for_loaded(write: Write) -> None:
    write("failing.py", HANDLER + "\nraise RuntimeError\n")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            resolve("failing.py")


@pytest.mark.parametrize("spec", ["importing", "importing.py", "importing:app", "package.inner:app"])
def test_a_module_that_the_application_misses_is_its_own_error(write: Write, spec: str) -> None:
    write("importing.py", "import not_installed_anywhere\n")
    write("package/__init__.py", "import not_installed_anywhere\n")
    write("package/inner.py", WSGI.format(name="app"))
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        resolve(spec)


# -- files ------------------------------------------------------------------------------------------


def test_a_file_may_be_called_like_a_module_that_is_needed(write: Write) -> None:
    needed = sys.modules["http"]
    write("http.py", HANDLER)
    assert name_of(resolve("http.py")) == "Handler"
    assert sys.modules["http"] is needed


def test_a_file_imports_its_neighbours(write: Write) -> None:
    write("sub/neighbour.py", HANDLER)
    write("sub/main.py", "import neighbour\nHandler = neighbour.Handler\n")
    assert name_of(resolve("sub/main.py:Handler")) == "Handler"
    assert str(Path("sub").resolve()) in sys.path


def test_a_file_is_loaded_once(write: Write) -> None:
    write("counting.py", HANDLER + "\nimport sys\nsys.modules.setdefault('loads', []).append(1)\n")
    resolve("counting.py")
    resolve("./counting.py")
    loads: object = sys.modules["loads"]
    assert loads == [1]


# -- around the application -------------------------------------------------------------------------


def test_prepare_sets_directory_environment_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("OLD", "1")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    prepare(Settings(chdir=str(tmp_path / "there"), env={"OLD": "2", "NEW": "3"}, pythonpath=("/a", "/b")))
    assert Path.cwd() == tmp_path / "there"
    assert (os.environ["OLD"], os.environ["NEW"]) == ("2", "3")
    assert sys.path[:3] == ["/a", "/b", str(tmp_path / "there")]


def test_prepare_may_leave_the_directory(tmp_path: Path) -> None:
    prepare(Settings())
    assert Path.cwd() == tmp_path
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize("dotted", ["http.server.HTTPServer", "http.server:HTTPServer"])
def test_a_class_is_resolved_by_its_dotted_name(dotted: str) -> None:
    assert resolve_class(dotted).__name__ == "HTTPServer"


@pytest.mark.parametrize("dotted", ["http.server", "HTTPServer", "http.server:missing", "missing.HTTPServer"])
def test_what_is_no_class_is_said(dotted: str) -> None:
    with pytest.raises(TargetError):
        resolve_class(dotted)
