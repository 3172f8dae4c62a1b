"""What holds for every test."""
import shutil
import signal
import sys
from pathlib import Path

import pytest

# Modules of tools, behind all packages: tools/mteb.py has the name of one.
_TOOLS = Path(__file__).resolve().parents[1] / 'tools'
sys.path += [str(_TOOLS / name) for name in ('', 'dataset_converters', 'analysis_tools')]


@pytest.fixture(scope='module', autouse=True)
def _folders_end_with_their_module(request, tmp_path_factory):
    """Remove what a module's fixtures wrote: all at once, checkpoints would take gigabytes."""
    root, failures = tmp_path_factory.getbasetemp(), request.session.testsfailed
    before = set(root.iterdir())
    yield
    if request.session.testsfailed == failures:  # else someone wants to look
        for folder in set(root.iterdir()) - before:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _loaders_hear_of_their_workers():
    """Let torch set its handler again: it does so once a process, and tools that fail drop it."""
    yield
    handling = sys.modules.get('torch.utils.data._utils.signal_handling')
    if handling is not None and signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL:
        handling._SIGCHLD_handler_set = False


@pytest.fixture(autouse=True)
def _no_realtime_priority():
    """A browser would inherit what SVT-AV1 takes as root, and make test would stand still."""
    yield
    from fuzz_sources import drop_realtime_priority
    drop_realtime_priority()


def pytest_terminal_summary(terminalreporter):
    """Say once what was not tested for want of a browser."""
    without = [report for report in terminalreporter.stats.get('skipped', ())
               if 'search/web/test_browser.py' in report.nodeid]
    if without:
        terminalreporter.write_line(
            f'NO BROWSER: the page of search was not tried ({len(without)} tests of '
            'tests/search/web/test_browser.py); apt-get install chromium, pip install playwright')
