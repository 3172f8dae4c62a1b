"""Tests against a real server, which the package `milvus` holds: `make test-milvus`."""
import os
from pathlib import Path

import pytest

from .server import MilvusServer

PROGRAM = 'MMC2V_MILVUS_SERVER'
if PROGRAM not in os.environ:  # `make test` has none: these tests are another command's
    collect_ignore_glob = ['test_*.py']


@pytest.fixture(scope='session')
def server(tmp_path_factory):
    """Run a server as long as the tests run."""
    running = MilvusServer(Path(os.environ[PROGRAM]), tmp_path_factory.mktemp('milvus'))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def address(server, request):
    """The address of a collection of this test."""
    name = ''.join(sign if sign.isalnum() else '_' for sign in request.node.name)
    return f'http://127.0.0.1:{server.port}/{name}'
