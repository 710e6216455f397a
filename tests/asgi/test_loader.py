"""From ``module:attribute`` to an application, and what is said where that fails."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from katana_asgi import Config
from katana_asgi.asgi.loader import ApplicationImportError, load_application
from katana_asgi.errors import StartupError

APPLICATION = """
async def app(scope, receive, send):
    pass

class Holder:
    app = app

def make():
    return app

def make_nothing():
    return None

def fail():
    raise LookupError("in the factory")

number = 3
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory to write modules into; the import path and the modules are put back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "loaded_module.py").write_text(APPLICATION)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def load(name: object, place: Path, **settings):
    return load_application(Config(app=name, app_dir=str(place), **settings))


@pytest.mark.parametrize("name", ["loaded_module:app", "loaded_module:Holder.app"])
def test_an_attribute_of_a_module_is_the_application(place, name):
    application = load(name, place)
    assert application is sys.modules["loaded_module"].app


def test_a_module_in_a_package_is_found(place):
    package = place / "loaded_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(APPLICATION)
    assert load("loaded_package.inner:app", place).__module__ == "loaded_package.inner"


def test_the_current_directory_is_searched_without_app_dir(place, monkeypatch):
    monkeypatch.chdir(place)
    assert load_application(Config(app="loaded_module:app")).__name__ == "app"


def test_an_object_is_taken_as_it_is():
    async def app(scope, receive, send):
        pass

    assert load_application(Config(app=app)) is app


def test_a_factory_is_called(place):
    application = load("loaded_module:make", place, factory=True)
    assert application is sys.modules["loaded_module"].app


# -- failures


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing_module:app", "could not import module 'missing_module'"),
        ("loaded_module.inner:app", "could not import module 'loaded_module.inner'"),
        ("loaded_module:missing", "attribute 'missing' not found in 'loaded_module'"),
        ("loaded_module:Holder.missing", "attribute 'missing' not found"),
        ("loaded_module:number", "is not callable"),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_ended(place, name, message):
    with pytest.raises(StartupError, match=message) as raised:
        load(name, place)
    assert raised.value.status == 1
    assert not isinstance(raised.value, ApplicationImportError)


def test_a_factory_that_makes_nothing_callable_is_refused(place):
    with pytest.raises(StartupError, match="is not callable"):
        load("loaded_module:make_nothing", place, factory=True)


@pytest.mark.parametrize(
    ("source", "kind", "last"),
    [
        ("import absent_dependency", ModuleNotFoundError, "import absent_dependency"),
        ("def f():\n    1 / 0\nf()", ZeroDivisionError, "1 / 0"),
        ("from sys import nonsense", ImportError, "from sys import nonsense"),
        ("raise SystemExit(7)", SystemExit, "raise SystemExit(7)"),
    ],
)
def test_an_error_of_the_module_keeps_its_own_traceback(place, source, kind, last):
    (place / "broken_module.py").write_text(source)
    with pytest.raises(ApplicationImportError, match="broken_module") as raised:
        load("broken_module:app", place)
    cause = raised.value.__cause__
    assert type(cause) is kind
    frames = traceback.extract_tb(cause.__traceback__)
    assert {Path(frame.filename).name for frame in frames} == {"broken_module.py"}
    assert frames[-1].line == last


def test_a_syntax_error_says_where(place):
    (place / "broken_module.py").write_text("def f(:\n")
    with pytest.raises(ApplicationImportError) as raised:
        load("broken_module:app", place)
    cause = raised.value.__cause__
    assert isinstance(cause, SyntaxError)
    assert cause.filename == str(place / "broken_module.py")
    assert cause.lineno == 1
    assert cause.__traceback__ is None  # no frames of the import system


def test_an_error_of_a_factory_keeps_its_own_traceback(place):
    with pytest.raises(ApplicationImportError, match="factory") as raised:
        load("loaded_module:fail", place, factory=True)
    cause = raised.value.__cause__
    assert isinstance(cause, LookupError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "fail"


def test_a_factory_whose_arguments_are_missing_is_refused(place):
    with pytest.raises(ApplicationImportError, match="factory"):
        load("loaded_module:app", place, factory=True)


@pytest.mark.parametrize("name", ["make", "make_with_defaults", "Application"])
def test_a_factory_is_called_where_nothing_says_that_it_is_one(place, name, caplog):
    (place / "loaded_module.py").write_text(
        "async def app(scope, receive, send): pass\n"
        "def make(): return app\n"
        "def make_with_defaults(settings=None, **more): return app\n"
        "class Application:\n"
        "    async def __call__(self, scope, receive, send): pass\n"
    )
    application = load(f"loaded_module:{name}", place)
    assert callable(application)
    assert caplog.messages == [
        f"loaded_module:{name} is a factory and was called; add --factory to say so"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "async def app(scope, receive, send): pass",
        "async def app(*arguments): pass",
        "def app(scope): return lambda receive, send: None",
        "def app(*arguments): return None",
        "class App:\n    def __init__(self, scope): pass\n"
        "    async def __call__(self, r, s): pass\n"
        "app = App",
        "class App:\n    async def __call__(self, scope, receive, send): pass\napp = App()",
        "import functools\nasync def inner(a, scope, receive, send): pass\n"
        "app = functools.partial(inner, 1)",
    ],
)
def test_an_application_is_no_factory(place, source, caplog):
    (place / "loaded_module.py").write_text(source)
    assert callable(load("loaded_module:app", place))
    assert caplog.messages == []
