"""The target: what is served, found by its name and told apart by looking.

Loading it runs application code: only workers do it, and ``forkhttp check``, which is a
process of its own.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forkhttp.errors import TargetError
from forkhttp.handlers.adoption import adopt_handler, is_handler
from forkhttp.handlers.files import SimpleHTTPRequestHandler
from forkhttp.handlers.wsgi import WSGIHandler

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from forkhttp.handlers.adoption import HandlerFactory
    from forkhttp.settings import Settings

#: Names that a WSGI application goes by where it is not named (flask, gunicorn, mod_wsgi, PEP 3333).
_WSGI_NAMES = ("application", "app", "wsgi_app")


def prepare(settings: Settings) -> None:
    """Make this process what the application expects around it: directory, environment, path."""
    if settings.chdir:
        os.chdir(settings.chdir)
    os.environ.update(settings.env)
    sys.path[:0] = [*settings.pythonpath, str(Path.cwd())]


def resolve(spec: str, directory: str = "") -> HandlerFactory:
    """Load what ``spec`` names and give the handler class, or a partial of one, that serves it.

    Args:
        spec: ``module:attribute``, ``path/to/file.py:attribute``, either without an attribute where it
            defines exactly one handler class or one WSGI application, or empty: files are served.
        directory: what is served if ``spec`` is empty; empty: the current directory.

    Raises:
        TargetError: there is no such thing, it is of no kind that can be served, or there are several.
        Exception: whatever the application raises while it is imported.
    """
    if not spec:
        return functools.partial(SimpleHTTPRequestHandler, directory=directory or None)
    place, colon, attribute = spec.rpartition(":") if ":" in spec else (spec, "", "")
    if not place or (colon and not attribute):
        raise TargetError(f"{spec!r}: expected module:attribute or path/to/file.py:attribute")
    module = _load(place)
    value = _attribute(module, place, attribute) if attribute else _only(module, place)
    return _serving(value, spec)


def _load(place: str) -> ModuleType:
    if place.endswith(".py") or "/" in place:
        return _load_file(Path(place))
    if not all(place.split(".")):
        raise TargetError(f"{place!r} is no name of a module")
    try:
        found = importlib.util.find_spec(place)
    except ModuleNotFoundError as error:
        if not f"{place}.".startswith(f"{error.name}."):
            raise  # the package is there, and misses a module itself
        raise TargetError(f"no module named {error.name!r} in {Path.cwd()}, nor on Python's path") from error
    except ValueError:
        found = None
    if found is None:
        raise TargetError(f"no module named {place!r} in {Path.cwd()}, nor on Python's path")
    return importlib.import_module(place)


def _load_file(path: Path) -> ModuleType:
    """Import a file as the module of its name, its directory first on the path, as Python itself does."""
    if not path.is_file():
        raise TargetError(f"no file {str(path)!r} in {Path.cwd()}")
    path = path.resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    if (loaded := sys.modules.get(name)) is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        name = f"forkhttp_target_{name}"  # a file may be called like a module that is needed, `http.py`
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{str(path)!r} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _attribute(module: ModuleType, place: str, attribute: str) -> object:
    value: Any = module
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            own = [key for key, found in vars(module).items() if callable(found) and not key.startswith("_")]
            close = difflib.get_close_matches(attribute, own, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise TargetError(f"{place} has no attribute {attribute!r}{hint}") from None
    found: object = value
    return found


def _only(module: ModuleType, place: str) -> object:
    """Find the one handler class that the module defines, else its one WSGI application."""
    own = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and is_handler(value) and _is_defined_in(value, module)
    }
    # A base class that another handler of the file extends is not what is meant.
    leaves = {
        name: value
        for name, value in own.items()
        if not any(
            other is not value
            and inspect.isclass(other)
            and inspect.isclass(value)
            and issubclass(other, value)
            for other in own.values()
        )
    }
    applications = {name: vars(module)[name] for name in _WSGI_NAMES if callable(vars(module).get(name))}
    found = leaves or applications
    if not found:
        raise TargetError(f"{place} defines no handler class and no WSGI application")
    if len(set(map(id, found.values()))) > 1:
        names = ", ".join(sorted(found))
        raise TargetError(
            f"{place} defines several that could be served: {names}; name one, as {place}:{min(found)}"
        )
    return next(iter(found.values()))


def _is_defined_in(value: object, module: ModuleType) -> bool:
    if isinstance(value, functools.partial):
        return True
    return getattr(value, "__module__", None) == module.__name__


def _serving(value: object, spec: str) -> HandlerFactory:
    if is_handler(value):
        return adopt_handler(value)
    if inspect.isclass(value) or not callable(value):
        raise TargetError(
            f"{spec!r} is {_kind(value)}; expected a subclass of BaseHTTPRequestHandler or a WSGI application"
        )
    if not _takes_two(value):
        raise TargetError(f"{spec!r} does not take environ and start_response, as a WSGI application does")
    return WSGIHandler.serving(value)


def _takes_two(value: Callable[..., Any]) -> bool:
    try:
        inspect.signature(value).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # built in, and says nothing of itself
        return True
    return True


def _kind(value: object) -> str:
    return f"the class {value.__qualname__}" if inspect.isclass(value) else f"of type {type(value).__name__}"


def resolve_class(dotted: str) -> type:
    """Load a class by its dotted name, ``package.module.Class`` or ``package.module:Class``.

    Raises:
        TargetError: there is none.
    """
    place, _, name = dotted.replace(":", ".").rpartition(".")
    value = _attribute(_load(place), place, name) if place else None
    if not inspect.isclass(value):
        raise TargetError(f"{dotted!r} is no class")
    return value
