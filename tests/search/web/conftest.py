"""One library and one server of it for all tests that change neither."""
import pytest

from .common import index, serving, write_library


# In use always: what is made while a module is tested goes with that module, see tests/conftest.py.
@pytest.fixture(scope='package', autouse=True)
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp('library')
    write_library(folder)
    report = index(folder)
    assert report.counts['indexed'] == 5, report
    return folder


@pytest.fixture(scope='package')
def server(library):
    with serving(library) as server:
        yield server
