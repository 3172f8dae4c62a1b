"""The fuzzer prints tables, and how a failure is made again."""
import os

from fuzz_damage import damaged_file
from fuzz_sources import make_source, make_sources

from .test_command_lines import run


def test_a_failure_is_printed_with_its_seed_and_kept(tmp_path):
    argv = ['--only', '31', '32', '--memory', '64', '--keep', tmp_path / 'kept']
    code, _, shown = run('analysis_tools/fuzz_decoding.py', *argv)
    assert code == 1
    source, way, content = damaged_file(31, make_sources())
    assert f'memory: --only 31 ({source.codec} in {source.container}, {way})' in shown
    [kept] = (tmp_path / 'kept').iterdir()
    assert kept.name == '31_mov_png_lying-size.mp4'
    assert kept.read_bytes() == content
    assert 'files: 2,' in shown
    assert 'memory: 1,' in shown
    assert 'files/s' in shown


def test_encoding_leaves_no_realtime_priority_behind():
    """SVT-AV1 takes it as root, and what is started afterwards would starve all else."""
    make_source('mp4', 'av1')
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
