"""MMAction2's own tools on configs of ours; those for recognizers are in test_recognition_run."""
import runpy
import sys
from pathlib import Path
from types import ModuleType

import mmaction
import pytest
from mmengine.registry import DefaultScope

from mmc2v.synthetic.moving_events import MovingShapes
from mmc2v.synthetic.writing import write_dataset

from ..models import golden
from ..tiny import ROOT

THEIR_TOOLS = Path(mmaction.__path__[0]) / '.mim' / 'tools'
RETRIEVAL = ROOT / 'configs' / 'clip2video_moving_shapes.py'
RECOGNIZER = ROOT / 'configs' / 'recognition' / 'clip-tiny_tdb_moving-shapes.py'


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run one of their scripts in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        with DefaultScope.overwrite_default_scope('mmaction'):
            runpy.run_path(str(THEIR_TOOLS / name), run_name='__main__')
    return call


def test_flops_of_the_video_side_are_counted(run, capsys):
    run('analysis_tools/get_flops.py', RETRIEVAL, '--shape', 8, 3, 64, 64)
    printed = capsys.readouterr().out
    assert 'Input shape: (8, 3, 64, 64)' in printed
    # 8 frames of 17 tokens through 3 blocks of 12 * 96 * 96 each make 45 M; patches 9, the neck 5
    assert float(printed.split('Flops: ')[1].split('M')[0]) == pytest.approx(60, abs=3)


@pytest.mark.parametrize(('config', 'options'), [
    (RETRIEVAL, []),
    (ROOT / 'configs' / 'clip2video_msrvtt.py',
     ['--cfg-options', 'optim_wrapper.paramwise_cfg=None']),
    (RECOGNIZER, [])], ids=lambda value: getattr(value, 'stem', ''))
def test_schedule_is_drawn(run, config, options, tmp_path):
    run('visualizations/vis_scheduler.py', config, '-d', 256, '--not-show', '-s', 'lr.png',
        *options)
    assert (tmp_path / 'lr.png').stat().st_size > 5000


@pytest.mark.parametrize('config', [RETRIEVAL, RECOGNIZER], ids=lambda path: path.stem)
def test_data_set_is_browsed(run, config, tmp_path, monkeypatch):
    """With a stand-in for moviepy, which writes their videos."""
    videos = []

    class Clip:
        def __init__(self, frames, fps):
            videos.append(frames)

        def write_videofile(self, path, **kwargs):
            pass
    for name in ('moviepy', 'moviepy.editor'):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules['moviepy.editor'].ImageSequenceClip = Clip
    write_dataset(tmp_path / 'data' / 'moving_shapes', MovingShapes(num_train=8, num_test_pairs=1))
    run('visualizations/browse_dataset.py', config, 'browsed', '-n', 2)
    assert [len(frames) for frames in videos] == [8, 8]
    assert all(frames[0].shape == (64, 64, 3) for frames in videos)


def test_our_runner_lists_them(monkeypatch):
    tool = golden.load_tool('mmaction_tool.py')
    monkeypatch.setattr(sys, 'argv', ['mmaction_tool.py'])
    with pytest.raises(SystemExit, match=r'(?s)analysis_tools/get_flops\.py\n.*publish_model'):
        tool.main()
