"""The best and the last validation are both reported."""
import json
from types import SimpleNamespace

import pytest
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmc2v.engine import BestAndLastHook

from ...tiny import run_config, write_dataset


def test_best_and_last_are_reported_also_after_resuming(tmp_path, monkeypatch):
    from mmc2v.evaluation import RetrievalMetric
    write_dataset(tmp_path / 'data')
    figures = iter([30.0, 50.0, 40.0])
    compute = RetrievalMetric.compute_metrics
    monkeypatch.setattr(RetrievalMetric, 'compute_metrics', lambda self, results: {
        **compute(self, results), 't2v/R1': next(figures)})
    for epochs, resume in ((2, False), (3, True)):
        config = run_config(tmp_path / 'data', tmp_path / 'work', epochs=epochs, resume=resume,
                            experiment_name=f'best-{epochs}')
        Runner.from_cfg(config).train()
    report = json.loads((tmp_path / 'work' / 'best_and_last.json').read_text())
    assert (report['best']['step'], report['last']['step']) == (2, 3)
    assert [report[which]['metrics']['t2v/R1'] for which in ('best', 'last')] == [50.0, 40.0]
    assert (report['annotation'], report['unit']) == ('all.json', 'epoch')
    log = max((tmp_path / 'work').glob('*/*.log')).read_text()
    assert '3 validations on all.json; chosen by t2v/R1 on this very set' in log
    assert 'best epoch: 2' in log
    assert 'last epoch: 3' in log


@pytest.mark.parametrize('content', ['', '{"1": ', '[]', '{"one": {}}', '{"1": 2}'])
def test_figures_that_cannot_be_read_are_named_and_do_not_end_a_resumed_run(content, tmp_path):
    (tmp_path / 'validations.json').write_text(content)
    warnings = []
    runner = SimpleNamespace(
        work_dir=str(tmp_path), iter=4, epoch=2, train_loop=object.__new__(EpochBasedTrainLoop),
        logger=SimpleNamespace(warning=warnings.append))
    hook = BestAndLastHook()
    hook.before_train(runner)
    assert "validations.json' cannot be read" in warnings[0]
    assert 'up to epoch 2 are missing' in warnings[0]
    hook.after_val_epoch(runner, {'t2v/R1': 50.0})
    assert json.loads((tmp_path / 'validations.json').read_text()) == {'2': {'t2v/R1': 50.0}}


def test_figures_are_brought_to_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr('os.fsync', synced.append)
    runner = SimpleNamespace(work_dir=str(tmp_path), iter=0, epoch=1,
                             train_loop=object.__new__(EpochBasedTrainLoop))
    hook = BestAndLastHook()
    hook.before_train(runner)
    hook.after_val_epoch(runner, {'t2v/R1': 50.0})
    assert len(synced) == 2  # the file and its folder
