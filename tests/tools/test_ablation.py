"""The ablation goes on where it ended, and its report says what was measured."""
import datetime
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmc2v.synthetic.moving_events import MovingEvents

from ..tiny import ROOT, full_disk

TOOLS = ROOT / 'tools' / 'analysis_tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return runpy.run_path(str(TOOLS / 'ablation.py'), run_name='tool')


def figures(found=40.0, pair=80.0, **kwargs):
    """Figures of a run in which every kind is found alike."""
    result = {}
    for direction in ('t2v', 'v2t'):
        result.update({f'{direction}/R1': found, f'{direction}/pair_R1': pair})
        for kind in MovingEvents.test_kinds:
            result.update({f'{direction}/{kind}_R1': found, f'{direction}/{kind}_pair_R1': pair})
    return {**result, **kwargs}


def curve(steps, **kwargs):
    """Figures of validations after some steps: found, of 80 pairs."""
    return {step: figures(found, 80, **kwargs) for step, found in steps.items()}


def write_run(work_dir, found=40.0):
    """Write what a finished run leaves."""
    work_dir = Path(work_dir)
    (work_dir / 'validations.json').write_text(json.dumps({4: figures(found)}))
    (work_dir / 'best_and_last.json').write_text('{}')
    torch.save(dict(state_dict={
        'backbone.visual.proj': torch.ones(1), 'text_backbone.ln_final.bias': torch.ones(2),
        'head.logit_scale': torch.tensor(3.0), 'neck.x': torch.ones(1)}), work_dir / 'iter_4.pth')


def test_every_config_is_a_variant_and_all_are_of_equal_size(tool):
    import ablation_runs
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmc2v.registry import MODELS
    init_default_scope('mmaction')
    configs = {path.stem: Config.fromfile(path) for path in tool['CONFIGS'].glob('*.py')}
    assert set(configs) == {*ablation_runs.VARIANTS, 'towers'}
    shared = ('train_dataloader', 'val_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler')
    full, towers = configs['full'], configs.pop('towers')
    at_random = configs['full_random_batches']
    assert at_random.model == full.model
    assert not at_random.train_dataloader.batch_sampler.pop('hard_negatives')
    assert at_random.train_dataloader != full.train_dataloader
    at_random.train_dataloader.batch_sampler.hard_negatives = True  # all else is equal
    for name in ('transformer', 'tdb'):
        longer = configs[f'{name}_long']
        assert longer.model == configs[name].model
        assert longer.train_cfg.max_iters == 4 * full.train_cfg.max_iters
        longer.train_cfg = full.train_cfg
    assert towers.model == configs['mean'].model
    assert towers.train_dataloader.dataset.pipeline[1] == dict(
        type='mmaction.SampleFrames', clip_len=1)
    for config in configs.values():
        assert all(config[key] == full[key] for key in shared)
        assert config.model.backbone == full.model.backbone
        assert config.model.text_backbone == full.model.text_backbone
    necks = {name: sum(parameter.numel() for parameter in MODELS.build(
        configs[name].model).neck.parameters()) for name in ('transformer', 'tdb')}
    assert necks['transformer'] == pytest.approx(necks['tdb'], rel=0.01)
    centers = {name: config.model.head.alignment.num_centers for name, config in configs.items()
               if config.model.head.get('alignment')}
    assert centers == dict(mean_tab=5, full=5, full_frame_branch=5, full_k1=1, full_k3=3, full_k7=7,
                           full_random_batches=5)
    assert configs['full_frame_branch'].model.neck.local_branch.type == 'mmc2v.FrameLocalBranch'


def test_finished_runs_are_not_repeated_and_others_resume(tool, tmp_path, monkeypatch, capsys):
    started = []

    def run(command, **kwargs):
        work_dir = Path(command[command.index('--work-dir') + 1])
        seed = work_dir.name[-1]
        started.append(work_dir.name)
        assert '--resume' in command
        assert f'randomness.seed={seed}' in command
        towers = tmp_path / f'towers-seed{seed}' / 'clip.pth'
        assert (f'model.pretrained={towers}' in command) == ('towers' not in work_dir.name)
        assert 'towers' in work_dir.name or towers.is_file()
        write_run(work_dir, float(seed))
        return type('Result', (), dict(returncode=0))
    monkeypatch.setattr(tool['subprocess'], 'run', run)
    runs = [(name, seed) for seed in (0, 1) for name in ('mean', 'full')]
    tool['train_all'](runs, tmp_path, 2)
    assert sorted(started) == ['full-seed0', 'full-seed1', 'mean-seed0', 'mean-seed1',
                               'towers-seed0', 'towers-seed1']
    import ablation_runs
    curves = ablation_runs.read_curves(tmp_path)
    assert set(curves) == set(runs)
    assert curves['full', 1][4]['t2v/R1'] == 1.0
    assert {path.name for path in tmp_path.rglob('*.pth')} == {'clip.pth'}
    weights = torch.load(tmp_path / 'towers-seed0' / 'clip.pth', weights_only=True)
    assert {name: value.tolist() for name, value in weights.items()} == {
        'visual.proj': [1.0], 'ln_final.bias': [1.0, 1.0], 'logit_scale': 3.0}
    (tmp_path / 'full-seed1' / 'best_and_last.json').unlink()
    started.clear()
    tool['train_all'](runs, tmp_path, 2)
    assert started == ['full-seed1']
    assert '[4/4]' in capsys.readouterr().out


def test_a_run_without_its_validation_is_trained_again(tool, tmp_path, monkeypatch):
    """Killed after its last checkpoint: resuming finds nothing to train and validates nothing."""
    codes = []

    def run(command, **kwargs):
        codes.append(0)
        if len(codes) == 2:
            write_run(tmp_path / 'mean-seed0')
        return type('Result', (), dict(returncode=0))
    monkeypatch.setattr(tool['subprocess'], 'run', run)
    tool['train']('mean', 0, tmp_path / 'mean-seed0')
    assert len(codes) == 2


def test_a_run_that_fails_is_an_error_with_its_last_words(tool, tmp_path):
    tool['train'].__globals__['CONFIGS'] = tmp_path  # where there are none
    with pytest.raises(ChildProcessError,
                       match=r'towers with seed 0 ended with 1.*(?s:.)*towers\.py'):
        tool['train_all']([('mean', 0)], tmp_path, 1)
    assert (tmp_path / 'towers-seed0' / 'output.txt').is_file()


def test_steps_to_learn_are_those_from_which_it_stays(tool):
    import ablation_report
    # 80 pairs found, so 72 are 90 percent
    learned = ablation_report.steps_to_learn
    assert learned(curve({40: 40, 80: 73, 120: 71, 160: 72, 200: 80}), 'size') == 160
    assert learned(curve({40: 72, 80: 80}), 'size') == 40
    assert learned(curve({40: 80, 80: 71}), 'size') is None
    one_way = curve({40: 80}, **{'v2t/size_R1': 60.0})
    assert learned(one_way, 'size') is None
    assert learned(one_way, 'order') == 40


def test_report_has_means_spreads_and_bounds(tool, tmp_path):
    import ablation_report
    curves = {('mean', 0): {40: figures(40, 80)}, ('mean', 1): {40: figures(42, 80)},
              ('full', 0): {40: figures(80, 90), 80: figures(90, 90)},
              ('full', 1): {40: figures(80, 90), 80: figures(80, 90)}}
    page = tmp_path / 'ablation.md'
    page.write_text('Before.\n<!-- results -->\noutdated\n<!-- end of results -->\nAfter.\n')
    ablation_report.write_report(curves, page, datetime.date(2026, 11, 21))
    text = page.read_text()
    assert text.startswith('Before.\n')
    assert text.endswith('After.\n')
    assert 'outdated' not in text
    assert '| mean pooling | 41.0 ± 1.4 | 41.0 ± 1.4 | 80.0 ± 0.0 | 80.0 ± 0.0 |' in text
    assert '4 runs, seeds 0, 1' in text
    assert '| 41.0 ± 1.4 (80.0) |' in text
    assert '| 94.4 ± 7.9 / 94.4 ± 7.9 |' in text  # 100 and 88.9 percent of pair R@1
    assert '| TDB + TAB, K = 5 (CLIP2Video) | 80 | 80, not | 80, not |' in text
    assert '| mean pooling | 40 | not, not | not, not |' in text
    assert 'Of 24 pair R@1 by variant, direction and kind 12 are at least 90 %' in text
    assert 'the least is 80.0 (mean pooling, ' in text
    assert 'Of 20 figures of the variants without time, 0 are further than three' in text
    assert (tmp_path / 'ablation.png').stat().st_size > 10_000
    assert (tmp_path / 'ablation_steps.png').stat().st_size > 10_000
    import ablation_runs
    written = tmp_path / 'ablation_runs.json'
    assert ablation_runs.read_curves(written) == curves
    more = tmp_path / 'more.json'
    ablation_runs.write_curves({('tdb', 0): {40: figures(1, 2)}, ('mean', 0): {40: figures(3, 4)}},
                               more)
    assert set(ablation_runs.read_curves(written, more)) == {*curves, ('tdb', 0)}
    assert ablation_runs.read_curves(written, more)['mean', 0] == curves['mean', 0]
    (tmp_path / 'other.md').write_text('no markers')
    with pytest.raises(ValueError, match='between which results go'):
        ablation_report.write_report(curves, tmp_path / 'other.md', datetime.date(2026, 1, 1))


def test_a_page_is_old_or_new_where_the_disk_is_full(tool, tmp_path, monkeypatch):
    import ablation_picture
    import ablation_report
    for name in ('picture', 'picture_of_steps'):
        monkeypatch.setattr(ablation_picture, name, lambda *args: None)
    page = tmp_path / 'ablation.md'
    page.write_text('Before.\n<!-- results -->\nold\n<!-- end of results -->\nAfter.\n')
    with full_disk(), pytest.raises(OSError, match=r'ablation\.md'):
        ablation_report.write_report({('mean', 0): {40: figures(40, 80)}}, page,
                                     datetime.date(2026, 11, 21))
    assert page.read_text() == 'Before.\n<!-- results -->\nold\n<!-- end of results -->\nAfter.\n'


def test_error_bars_lie_within_the_axes(tool, tmp_path, monkeypatch):
    import ablation_picture
    import ablation_report
    results = {('mean', 0): figures(1, 2), ('mean', 1): figures(40, 80),
               ('full', 0): figures(100, 100), ('full', 1): figures(20, 100)}
    plt = ablation_picture.plt
    monkeypatch.setattr(plt, 'close', lambda figure: None)
    bars = ablation_report.bars_of(results)
    assert [variant.label for variant in bars] == ['mean pooling', 'TDB + TAB, K = 5 (CLIP2Video)']
    assert bars[1].found[:, 0] == pytest.approx([60, 56.57], abs=0.01)
    ablation_picture.picture(bars, tmp_path / 'a.png')
    figure = plt.gcf()
    monkeypatch.undo()
    ends = []
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for lines in axes.collections:  # of the error bars
            for segment in lines.get_segments():
                ends += [value for _, value in segment]
                assert low <= min(ends[-2:]) <= max(ends[-2:]) <= high
    assert min(ends) < 0 < 105 < max(ends)
    plt.close(figure)


def test_standard_errors_and_ties(tool):
    import ablation_report
    spec = MovingEvents()
    # 384 captions, 80 % of the pairs found: 307.2 coins, so an error of 8.76 found ones
    even = figures(40, 80)
    assert ablation_report.standard_errors_off(even, 't2v', 'size', spec) == pytest.approx(0)
    found = 100 * (0.5 * 307.2 + 3 * 8.7636) / 384
    off = figures(found, 80)
    assert ablation_report.standard_errors_off(off, 't2v', 'size', spec) == pytest.approx(3, 1e-3)
    assert ablation_report.standard_errors_off(figures(0, 0), 't2v', 'size', spec) == 0
    ties = figures(30, 80, **{'t2v_ties_won/size_R1': 50.0})
    assert ablation_report.twin_share(ties, 't2v', 'size') == pytest.approx(50)
    assert ablation_report.twin_share(ties, 't2v', 'speed') == pytest.approx(37.5)


def test_survey_rows_say_what_works_and_why_not():
    survey = runpy.run_path(str(TOOLS / 'tower_trials.py'), run_name='tool')
    names = survey['mmaction_backbones']()
    assert {'ResNet', 'UniFormerV2', 'X3D', 'STGCN', 'ResNetTIN'} <= set(names)
    assert set(names) == {*survey['SMALL'], *survey['OTHER_INPUTS']}
    row = survey['try_mmaction']('UniFormer')
    assert row == dict(backbone='UniFormer', reads='NCTHW', frames='8 → 4', padding='refused',
                       works='TDB, TAB', note='')
    assert survey['try_mmaction']('STGCN')['works'] == 'no'
    assert survey['try_mmaction']('MobileNetV2')['padding'] == 'left out'
    small = survey['try_open_clip']('ViT-S-32-alt', 0)
    assert (small['works'], small['M'], small['note']) == ('TDB, TAB (shapes)', '43', '')
    other = survey['try_open_clip']('RN50', 0)
    assert other['note'] == '`init_from_text=False`'
    assert 'CoCa' in survey['try_open_clip']('coca_ViT-B-32', 0)['note']
    assert survey['table']([row], ['backbone', 'missing'])[2] == '| UniFormer |  |'
    assert 'mmc2v' in sys.modules
