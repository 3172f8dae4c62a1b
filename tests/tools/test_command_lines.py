"""Every tool explains itself, and what its user does wrong ends it with one line."""
import argparse
import io
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import command_line
import pytest

from ..tiny import ROOT

TOOLS = ROOT / 'tools'
NAMES = sorted(str(path.relative_to(TOOLS)) for path in TOOLS.rglob('*.py')
               if "if __name__ == '__main__':" in path.read_text())
CONFIG = str(ROOT / 'configs' / 'clip2video_moving_shapes.py')
# Their parsers are in the package, or made of its dataclasses.
SLOW = {name for name in NAMES if name.startswith('dataset_converters/')} \
    - {'dataset_converters/mmaction_features.py'}


def run(name, *argv):
    """Run a tool in this process; return its exit code and what it said, on stderr and stdout."""
    out, err = io.StringIO(), io.StringIO()
    before, path = sys.argv, list(sys.path)
    sys.argv, sys.path[0] = [str(TOOLS / name), *map(str, argv)], str((TOOLS / name).parent)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(sys.argv[0], run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):  # what Python prints and takes for 1
            err.write(code + '\n')
            code = 1
    finally:
        sys.argv, sys.path[:] = before, path
    return code, err.getvalue(), out.getvalue()


@pytest.mark.parametrize('name', NAMES)
def test_help_shows_the_description_and_explains_every_option(name, monkeypatch):
    parsers = []
    original = argparse.ArgumentParser.print_help

    def remember(parser, file=None):
        parsers.append(parser)
        original(parser, file)
    monkeypatch.setattr(argparse.ArgumentParser, 'print_help', remember)
    monkeypatch.setenv('COLUMNS', '100')
    code, _, shown = run(name, '--help')
    assert code == 0
    [parser] = parsers
    description = parser.description.strip()
    assert description in shown  # as it is written
    assert len(description.splitlines()) > 2
    for action in parser._actions:
        assert action.help, action.dest
        if isinstance(action.default, (int, float)) and not isinstance(action.default, bool) \
                and action.dest not in ('help', 'workers', 'jobs'):
            assert f'default {action.default:g}' in action.help.replace(',', ''), action.dest


@pytest.mark.parametrize('command', ['index', 'query', 'remove', 'info', 'verify'])
def test_help_of_the_commands_of_search_explains_every_option(command, monkeypatch):
    parsers = []
    monkeypatch.setattr(argparse.ArgumentParser, 'print_help',
                        lambda parser, file=None: parsers.append(parser))
    assert run('search.py', command, '--help')[0] == 0
    assert parsers[0].description.endswith('.')
    assert all(action.help for action in parsers[0]._actions)


def test_help_does_not_wait_for_torch():
    names = [name for name in NAMES if name not in SLOW]
    code = (
        'import runpy, sys\n'
        'path = list(sys.path)\n'
        f'for name in {names!r}:\n'
        f'    sys.argv = [{str(TOOLS)!r} + "/" + name, "--help"]\n'
        '    sys.path[:] = [sys.argv[0].rsplit("/", 1)[0], *path]\n'
        '    try:\n'
        '        runpy.run_path(sys.argv[0], run_name="__main__")\n'
        '    except SystemExit as end:\n'
        '        assert end.code == 0, name\n'
        '    slow = {"torch", "mmengine", "mmaction", "matplotlib"} & set(sys.modules)\n'
        '    assert not slow, (name, slow)\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False,
                          cwd=os.sep)
    assert done.returncode == 0, done.stderr


GONE = '/there/is/no/such'
MISTAKES = [
    ('train.py', [f'{GONE}.py'], f"the config '{GONE}.py' is not a file"),
    ('train.py', [CONFIG, '--cfg-options', 'foo'], "expected key=value, got 'foo'"),
    ('train.py', [CONFIG, '--cfg-options', 'modle.x=1'], "did you mean 'model'?"),
    ('train.py', [CONFIG, '--cfg-options', 'train_dataloader.batch_size=0'],
     'train_dataloader.batch_size must be a whole number from 1 up, got 0'),
    ('train.py', [CONFIG, '--cfg-options', 'train_cfg.max_epochs=0'], 'train_cfg.max_epochs must'),
    ('train.py', ['EMPTY'], "empty.py' has no model, no train_dataloader"),
    ('train.py', [CONFIG, '--seed', '-1'], "expected a whole number from 0 to 4294967295, got '-1"),
    ('train.py', [], 'the following arguments are required: config'),
    ('test.py', [f'{GONE}.py'], f"the config '{GONE}.py' is not a file"),
    ('test.py', [CONFIG, '--dump', 'x.pkl'], '--dump must name an .npz file'),
    ('test.py', [CONFIG, '--query-bank-size', '0'], "expected a whole number from 1 up, got '0'"),
    ('search.py', ['query', 'a dog', '--index', GONE], f"there is no index '{GONE}'"),
    ('search.py', ['query', '--index', GONE], 'give a sentence or --video, one of them'),
    ('search.py', ['query', ' ', '--index', GONE], 'expected some words'),
    ('search.py', ['query', 'a dog', '--index', 'EMPTY'], "there is no index '"),
    ('search.py', ['info', '--index', GONE], f"there is no index '{GONE}'"),
    ('search.py', ['index', GONE, '--index', 'OUT', '--window', '0'], 'a window must be a number'),
    ('search.py', ['index', GONE, '--index', 'OUT', '--config', f'{GONE}.py'], 'is not a file'),
    ('export.py', [f'{GONE}.py', '--out', 'OUT'], 'is not a file'),
    ('export.py', [CONFIG, f'{GONE}.pth', '--out', 'OUT'], f'{GONE}.pth'),
    ('mteb.py', [f'{GONE}.py', '--out', 'OUT'], 'is not a file'),
    ('mteb.py', [CONFIG, '--tasks', 'MSRVTTT2', '--out', 'OUT'], "Did you mean: 'MSRVTTT2V'?"),
    ('mteb.py', [CONFIG, '--meta', 'license', '--out', 'OUT'], "key=value, got 'license'"),
    ('mteb.py', [CONFIG, f'{GONE}.pth', '--tasks', 'MSVDV2TRetrieval', '--out', 'OUT'],
     f'{GONE}.pth'),
    ('extract_features.py', [f'{GONE}.py', '--out', 'OUT'], 'is not a file'),
    ('extract_features.py', [CONFIG, f'{GONE}.pth', '--out', 'OUT'], f'{GONE}.pth'),
    ('extract_features.py', [CONFIG, 'EMPTY', '--out', 'OUT'], 'empty.py'),
    ('extract_features.py', [CONFIG, '--out', 'OUT', '--batch-size', '0'], "got '0'"),
    ('cache_videos.py', [f'{GONE}.py', '--out', 'OUT'], 'is not a file'),
    ('cache_videos.py', [CONFIG, '--out', 'OUT', '--candidates', '-3'], "1 up, got '-3'"),
    ('cache_videos.py', [CONFIG, '--out', 'OUT', '--quality', '96'], 'from 1 to 95'),
    ('demo.py', [f'{GONE}.py'], 'is not a file'),
    ('mmaction_tool.py', ['get_flops.py'], "did you mean 'analysis_tools/get_flops.py'?"),
    ('analysis_tools/ablation.py', ['--report', 'EMPTY'], 'between which results go'),
    ('analysis_tools/ablation.py', ['--jobs', '0'], 'from 1 up'),
    ('analysis_tools/ablation_report.py', [GONE], 'holds no finished run'),
    ('analysis_tools/benchmark_decoding.py', [GONE], GONE),
    ('analysis_tools/benchmark_decoding.py', ['--worker-memory', '0'], 'from 1 up'),
    ('analysis_tools/benchmark_evaluation.py', [f'{GONE}.py'], 'is not a file'),
    ('analysis_tools/benchmark_inference.py', [f'{GONE}.py'], 'is not a file'),
    ('analysis_tools/benchmark_inference.py', [CONFIG, '--batch-sizes', '0'], "got '0'"),
    ('analysis_tools/benchmark_moments.py', ['--model', f'{GONE}.py', GONE, '--data', GONE],
     'moments.json'),
    ('analysis_tools/benchmark_ranks.py', ['--videos', '-3'], "got '-3'"),
    ('analysis_tools/benchmark_search.py', ['indexing', GONE, '--config', f'{GONE}.py'],
     'is not a file'),
    ('analysis_tools/benchmark_search.py', ['queries', '--clips', '0'], "1 up, got '0'"),
    ('analysis_tools/benchmark_training.py', [f'{GONE}.py'], 'is not a file'),
    ('analysis_tools/benchmark_training.py', [CONFIG, '--steps', '0'], "got '0'"),
    ('analysis_tools/compatibility.py', ['--write', 'EMPTY'], 'does not hold the lines'),
    ('analysis_tools/evaluate_dump.py', [f'{GONE}.npz'], 'is not a file'),
    ('analysis_tools/evaluate_dump.py', ['EMPTY'], 'is not a dump of embeddings'),
    ('analysis_tools/fuzz_decoding.py', ['--files', 'x'], "got 'x'"),
    ('analysis_tools/order_benchmark.py', [CONFIG, '--mteb', 'a/b'], 'one of them'),
    ('analysis_tools/order_benchmark.py', ['--data', 'OUT', '--num-pairs', '121'], '1 to 120'),
    ('analysis_tools/order_benchmark.py', ['--tolerance', 'nan'], "from 0 up, got 'nan'"),
    ('analysis_tools/order_benchmark_report.py', [f'{GONE}.json'], f'{GONE}.json'),
    ('analysis_tools/order_benchmark_report.py', [f'{GONE}.json', '--write', 'EMPTY'],
     'between which results go'),
    ('analysis_tools/preprocessing_parity.py', [f'{GONE}.mp4'], 'No such file'),
    ('analysis_tools/survey_towers.py', ['--write', f'{GONE}.md'], f'{GONE}.md'),
    ('analysis_tools/survey_towers.py', ['--run-below', 'nan'], "from 0 up, got 'nan'"),
    ('dataset_converters/custom.py', ['--captions', f'{GONE}.csv', '--out', 'OUT'], f'{GONE}.csv'),
    ('dataset_converters/make_moving_shapes.py', ['--num-train', '-4', '--out', 'OUT'],
     'num_train must be at least 1, got -4'),
    ('dataset_converters/make_moving_shapes.py', ['--num-frames', '0', '--out', 'OUT'], 'got 0'),
    ('dataset_converters/mmaction_features.py', [GONE, '--out', 'OUT', '--layout', 'TC'],
     'holds no .pkl file'),
    ('dataset_converters/msrvtt.py', ['--annotations', GONE, '--out', 'OUT'], GONE),
    ('dataset_converters/msrvtt.py', ['--annotations', GONE, '--out', 'OUT', '--workers', '0'],
     "expected a whole number from 1 up, got '0'"),
    ('model_converters/clip2video_to_mmc2v.py', [GONE, 'OUT', '--config', CONFIG], GONE),
    ('model_converters/clip2video_to_mmc2v.py', ['EMPTY', 'OUT', '--config', CONFIG], 'empty.py'),
    ('visualizations/draw_alignment.py', [CONFIG, f'{GONE}.pth', 'a.mp4', '--captions', 'a'], GONE),
    ('visualizations/draw_alignment.py', [CONFIG, '-', 'a.mp4', '--captions', ' ', '--random'],
     'expected some words'),
    ('visualizations/draw_alignment.py', [CONFIG, '-', 'a.mp4', '--captions', 'a', 'b', '--random'],
     '1 videos need as many captions, got 2'),
    ('analysis_tools/benchmark_server.py', ['--index', GONE], 'there is no index'),
    ('visualizations/search_screenshots.py', ['--index', GONE], 'there is no index'),
    ('visualizations/draw_retrieval.py', ['EMPTY', CONFIG], 'is not a dump of embeddings'),
    ('visualizations/draw_retrieval.py', [f'{GONE}.npz', CONFIG, '--top-k', '0'], "got '0'"),
]


@pytest.mark.parametrize(('name', 'argv', 'message'), MISTAKES)
def test_a_mistake_ends_with_one_line_and_code_1(name, argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where runs would leave their logs
    (tmp_path / 'empty.py').touch()
    places = {'OUT': tmp_path / 'out', 'EMPTY': tmp_path / 'empty.py'}
    code, said, _ = run(name, *(places.get(argument, argument) for argument in argv))
    assert code == 1
    assert said.startswith('error: ')
    assert message in said
    assert len(said.splitlines()) == 1
    assert not places['OUT'].exists()


def test_every_tool_with_an_input_is_among_those_tried():
    same_parser = {f'dataset_converters/{name}.py'
                   for name in ('activitynet', 'didemo', 'lsmdc', 'msvd', 'vatex')}
    assert set(NAMES) - same_parser == {name for name, *_ in MISTAKES}


def test_faults_of_a_tool_keep_their_traceback():
    def main():
        raise AssertionError('never')
    with pytest.raises(AssertionError, match='never'):
        command_line.run(main)


def test_the_report_of_the_ablation_is_written_from_its_runs(tmp_path):
    import json

    from .test_ablation import figures
    for seed in (0, 1):
        folder = tmp_path / 'runs' / f'full-seed{seed}'
        folder.mkdir(parents=True)
        (folder / 'best_and_last.json').write_text('{}')  # it is finished
        (folder / 'validations.json').write_text(json.dumps({8: figures(90 - 10 * seed, 90)}))
    (tmp_path / 'runs' / 'another-seed0').mkdir()
    page = tmp_path / 'page.md'
    code, _, shown = run('analysis_tools/ablation_report.py', tmp_path / 'runs', '--report', page)
    assert code == 0
    assert '2 runs; written' in shown
    assert '| TDB + TAB, K = 5 (CLIP2Video) | 85.0 ± 7.1 |' in page.read_text()
