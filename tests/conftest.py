"""What holds for every test."""
import shutil

import pytest


@pytest.fixture(scope='module', autouse=True)
def _folders_end_with_their_module(request, tmp_path_factory):
    """Remove what a module's fixtures wrote: all at once, checkpoints would take gigabytes."""
    root, failures = tmp_path_factory.getbasetemp(), request.session.testsfailed
    before = set(root.iterdir())
    yield
    if request.session.testsfailed == failures:  # else someone wants to look
        for folder in set(root.iterdir()) - before:
            shutil.rmtree(folder, ignore_errors=True)
