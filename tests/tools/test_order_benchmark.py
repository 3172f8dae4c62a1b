"""Models that see frames as a set tie, those that see order do not, whoever computed the scores."""
import json
import sys
from types import SimpleNamespace

import mteb
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmc2v.benchmarks import MTEBEncoder
from mmc2v.registry import MODELS
from mmc2v.synthetic.twin_pairs import TwinPairs, read_twin_pairs, write_twin_pairs
from mmc2v.video.pyav_reader import PyAVReader

from ..tiny import ARCH, NECKS, ROOT, pipeline
from .test_command_lines import run

TOOL, REPORT = (f'analysis_tools/order_benchmark{name}.py' for name in ('', '_report'))
ORDERED = ('direction', 'order', 'size', 'speed')
FRAMES = 6


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('order') / 'data'
    write_twin_pairs(folder, TwinPairs(num_pairs=4, num_frames=FRAMES, size=32))
    return folder


@pytest.fixture
def scoring(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'analysis_tools'))
    import mteb_scoring
    import twin_scoring
    return twin_scoring, mteb_scoring


def model_files(folder, neck, width=64, num_frames=FRAMES):
    """Write a config and a checkpoint of random weights; return them as arguments."""
    arch = dict(ARCH, embed_dim=width, text_cfg=dict(ARCH['text_cfg']))
    model = dict(
        type='mmc2v.CLIP2Video', backbone=dict(type='mmc2v.CLIPVisionTower', arch=arch),
        text_backbone=dict(type='mmc2v.CLIPTextTower', arch=arch), neck=dict(NECKS[neck]),
        head=dict(type='mmc2v.RetrievalHead', embed_dim=width))
    Config(dict(model=model, custom_imports=dict(imports=['mmc2v'], allow_failed_imports=False),
                test_dataloader=dict(dataset=dict(pipeline=pipeline(num_frames=num_frames))))
           ).dump(folder / f'{neck}-{width}.py')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(model).state_dict()), folder / 'model.pth')
    return folder / f'{neck}-{width}.py', folder / 'model.pth'


def measured(data, tmp_path, *arguments):
    """Run the tool; return its result and what it showed."""
    code, said, shown = run(TOOL, *arguments, '--data', data, '--out', tmp_path / 'result.json')
    assert code == 0, said
    return json.loads((tmp_path / 'result.json').read_text()), shown


@pytest.mark.parametrize('width', [64, 96])
def test_mean_pooling_of_any_width_ties_on_every_pair(data, tmp_path, width):
    result, shown = measured(data, tmp_path, *model_files(tmp_path, 'mean', width))
    for kind in ORDERED:
        entry = result['kinds'][kind]
        assert entry['pairs'] == 4
        assert entry['difference'] < 2e-6
        figures = {name: value for name, (value, _) in entry['figures'].items()}
        assert {name: figures[name] for name in ('text', 'video', 'group', 'tied', 'ap')} == dict(
            text=0, video=0, group=0, tied=100, ap=50)
        assert {figures['t2v'], figures['v2t']} <= {50, None}
    assert result['kinds']['static']['figures']['tied'][0] == 0  # looks differ
    assert result['same_frames'] is True
    assert 'all tie (tolerance 1e-05), the model sees frames as a set' in shown
    assert f'## mean-{width}\n' in shown
    assert '| *frames as a set* |  |  | 0 | 0 | 0 | 50 | 50 | 50 |' in shown


def test_a_neck_with_order_ties_nowhere(data, tmp_path):
    result, shown = measured(data, tmp_path, *model_files(tmp_path, 'tdb-attention-none'))
    for kind in ORDERED:
        assert result['kinds'][kind]['figures']['tied'] == [0, 0]
        assert result['kinds'][kind]['difference'] > 1e-4
    assert 'the model sees a difference between twins' in shown


def test_a_model_of_features_is_refused(data, tmp_path):
    path, weights = model_files(tmp_path, 'mean', 64)
    config = Config.fromfile(path)
    config.test_dataloader.dataset.pipeline[:4] = [dict(type='mmc2v.LoadFeatures')]
    config.dump(path)
    code, said, _ = run(TOOL, path, weights, '--data', data)
    assert code == 1
    assert 'takes features in place of frames' in said


def test_sampling_that_takes_other_frames_of_the_twin_is_replaced(data, tmp_path):
    """Of 6 frames linspace takes 0, 1, 3, 5, of the reversed video so others."""
    result, shown = measured(data, tmp_path, *model_files(tmp_path, 'mean', num_frames=4))
    assert 'every frame' in result['sampling']
    assert result['same_frames'] is True
    assert result['kinds']['size']['figures']['tied'][0] == 100
    config, checkpoint = model_files(tmp_path, 'mean', num_frames=4)
    content = json.loads((data / 'pairs.json').read_text())
    others = tmp_path / 'others'
    others.mkdir()
    for name in content['videos']:
        (others / name).symlink_to(data / name)
    del content['made_with']  # so nobody knows how many frames there are
    (others / 'pairs.json').write_text(json.dumps(content))
    result, shown = measured(others, tmp_path, config, checkpoint)
    assert result['same_frames'] is False
    assert 'It takes OTHER frames of the twin' in shown


def perfect(twins):
    """Scores and likenesses of a model that is always right."""
    scores = np.zeros((len(twins.captions), len(twins.videos)), np.float32)
    likeness = np.zeros((len(twins.videos),) * 2, np.float32)
    for captions, videos in zip(twins.caption_index, twins.video_index):
        for heard, seen in zip(captions, videos):
            scores[np.ix_(heard, seen)] = 1
            likeness[np.ix_(seen, seen)] = 1
    return scores, likeness


def test_scores_of_any_program_are_measured(data, tmp_path):
    scores, likeness = perfect(read_twin_pairs(data))
    np.savez(tmp_path / 'right.npz', scores=scores, likeness=likeness)
    result, shown = measured(data, tmp_path, '--embeddings', tmp_path / 'right.npz')
    for entry in result['kinds'].values():
        assert {name: value for name, (value, _) in entry['figures'].items()} == dict(
            text=100, video=100, group=100, tied=0, t2v=100, v2t=100, ap=100)
    assert 'was not seen' in shown
    assert run(TOOL, '--data', data, '--embeddings', tmp_path / 'right.npz', '--out',
               tmp_path / 'result.md') == (0, '', shown)
    assert (tmp_path / 'result.md').read_text() == shown
    np.savez(tmp_path / 'right.npz', scores=-scores)
    result, shown = measured(data, tmp_path, '--embeddings', tmp_path / 'right.npz', '--name', 'no')
    assert '## no\n' in shown
    assert result['kinds']['size']['figures']['group'] == [0, 0]
    assert 'ap' not in result['kinds']['size']['figures']
    rng = np.random.default_rng(0)
    video, text = (rng.normal(size=(count, 8)) for count in scores.shape[::-1])
    np.savez(tmp_path / 'vectors.npz', video=9 * video, text=text)
    assert 0.1 < measured(data, tmp_path, '--embeddings', tmp_path / 'vectors.npz')[0][
        'kinds']['size']['difference'] < 2


@pytest.mark.parametrize(('arrays', 'message'), [
    (dict(scores=np.zeros((3, 4))), 'of shape (3, 4), expected numbers of shape'),
    (dict(video=np.zeros((4, 2))), "KeyError: 'scores'"), (dict(vidio=np.zeros(2)), "['vidio']"),
    (dict(scores=np.array([['a']])), '<U1 of shape'),
    (dict(scores=np.full((40 * 2, 20 * 4), np.nan)), 'scores are NaN')])
def test_a_file_that_does_not_fit_is_named(data, tmp_path, arrays, message):
    np.savez(tmp_path / 'wrong.npz', **arrays)
    code, said, _ = run(TOOL, '--embeddings', tmp_path / 'wrong.npz', '--data', data)
    assert code == 1
    assert message in said
    assert len(said.splitlines()) == 1


class Encoder:
    """Follows MTEB's protocol; embeds by the mean of frames, or by their weighted mean."""

    def __init__(self, weights, collate):
        self.weights = torch.tensor(weights, dtype=torch.float32)
        self.collate = collate
        self.asked = []

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        self.asked.append((task_metadata, hf_split, hf_subset, kwargs))
        if 'video' not in inputs.dataset.features:
            generator = torch.Generator().manual_seed(0)
            return torch.randn(len(inputs.dataset), 3 * 32 * 32, generator=generator).half()
        inputs.collate_fn = self.collate  # as mteb's own models do
        return torch.cat([torch.stack([torch.einsum('t,tchw->chw', self.weights, v.float()).ravel()
                                       for v in batch['video']]) for batch in inputs]).numpy()

    def similarity(self, one, other):
        one, other = (torch.nn.functional.normalize(torch.as_tensor(side), dim=1)
                      for side in (one, other))
        return one @ other.T


class Rows(list):
    """Stands for a data set of the package datasets."""

    features: dict

    @classmethod
    def of(cls, **columns):
        rows = cls(dict(zip(columns, values)) for values in zip(*columns.values()))
        rows.features = dict.fromkeys(columns)
        return rows


def score_by_protocol(scoring, twins, weights, step=slice(None)):
    def frames(rows):
        videos = [np.stack(PyAVReader(row['video']).read(range(FRAMES)))[step] for row in rows]
        return dict(video=[torch.from_numpy(video).permute(0, 3, 1, 2) for video in videos])
    encoder = Encoder(weights, frames)
    scored = scoring.score_encoder(
        encoder, scoring.WatchedLoader(Rows.of(video=twins.paths), batch_size=7),
        DataLoader(Rows.of(text=twins.captions), batch_size=7), twins, 'the task')
    assert encoder.asked == [('the task', 'test', 'default', dict(batch_size=7))] * 2
    return scored


def test_an_encoder_of_mtebs_protocol_is_scored(data, scoring):
    twin_scoring, mteb_scoring = scoring
    twins = read_twin_pairs(data)
    blind = score_by_protocol(mteb_scoring, twins, [1 / FRAMES] * FRAMES)
    assert blind.same_frames is True
    figures = twin_scoring.measure(blind, twins, 1e-5)['kinds']['order']['figures']
    assert figures['tied'] == [100, 0]
    assert figures['group'] == [0, 0]
    seeing = score_by_protocol(mteb_scoring, twins, range(FRAMES))
    figures = twin_scoring.measure(seeing, twins, 1e-5)['kinds']['order']['figures']
    assert figures['tied'] == [0, 0]
    assert figures['ap'][0] > 60  # weights tell which of two shapes comes last
    lopsided = score_by_protocol(mteb_scoring, twins, [1, 1], step=slice(2))
    assert lopsided.same_frames is False


def test_frames_in_another_form_are_not_seen(scoring):
    loader = scoring[1].WatchedLoader(Rows.of(video=['a', 'b']), batch_size=2)
    assert [batch['video'] for batch in loader] == [['a', 'b']]
    assert loader.seen == [None, None]


def test_a_model_has_the_same_figures_through_mteb(data, tmp_path, monkeypatch):
    config, checkpoint = model_files(tmp_path, 'tdb-attention-none')
    expected, _ = measured(data, tmp_path, config, checkpoint)
    monkeypatch.setattr(mteb, 'get_model', lambda name, device: MTEBEncoder(
        name, device='cpu', config=config, checkpoint=str(checkpoint)))
    result, shown = measured(data, tmp_path, '--mteb', 'made/model')
    assert result['kinds'].keys() == expected['kinds'].keys()
    for kind, entry in result['kinds'].items():
        assert entry['figures'] == expected['kinds'][kind]['figures']
        assert entry['difference'] == pytest.approx(expected['kinds'][kind]['difference'], rel=1e-3)
    assert result['same_frames'] is None  # they are read where nobody watches
    assert 'made/model' in shown


def test_mteb_that_is_not_installed_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mteb', None)
    code, said, _ = run(TOOL, '--mteb', 'some/model', '--data', data)
    assert code == 1
    assert "pip install 'mmc2v[mteb]'" in said
    assert len(said.splitlines()) == 1


def test_what_a_model_of_mteb_lacks_is_one_line(data, monkeypatch):
    def load(name, device):
        raise RuntimeError('no weights\nand so on')
    monkeypatch.setitem(sys.modules, 'mteb', SimpleNamespace(get_model=load))
    monkeypatch.setitem(sys.modules, 'datasets', SimpleNamespace(Dataset=None, Video=None))
    code, said, _ = run(TOOL, '--mteb', 'some/model', '--data', data)
    assert (code, said) == (1, "error: mteb cannot load 'some/model': RuntimeError: no weights\n")


def test_data_are_made_once_and_taken_as_they_are(tmp_path):
    numbers = ('--num-pairs', 1, '--num-frames', 2, '--size', 16)
    code, _, shown = run(TOOL, '--data', tmp_path / 'data', *numbers)
    assert (code, shown) == (0, f'{tmp_path / "data"}: 5 pairs, 20 videos, 20 captions; name a '
                                'model to measure it\n')
    assert run(TOOL, '--data', tmp_path / 'data')[::2] == (0, shown)
    code, said, _ = run(TOOL, '--data', tmp_path / 'data', '--num-pairs', 2)
    assert code == 1
    assert '--overwrite' in said


def test_the_page_has_models_side_by_side_with_bounds_last(data, tmp_path):
    scores, likeness = perfect(read_twin_pairs(data))
    page = tmp_path / 'page.md'
    page.write_text('Before.\n<!-- results -->\noutdated\n<!-- end of results -->\nAfter.\n')
    for name, factor in (('right', 1), ('wrong', -1)):
        np.savez(tmp_path / f'{name}.npz', scores=factor * scores, likeness=factor * likeness)
        run(TOOL, '--data', data, '--embeddings', tmp_path / f'{name}.npz',
            '--out', tmp_path / f'{name}.json')
    results = [tmp_path / f'{name}.json' for name in ('right', 'wrong')]
    assert run(REPORT, *results, '--write', page)[0] == 0
    text = page.read_text()
    assert text.startswith('Before.\n<!-- results -->\n')
    assert text.endswith('<!-- end of results -->\nAfter.\n')
    assert 'outdated' not in text
    table = text.split('that need order\n\n')[1].split('\n\n')[0].splitlines()
    assert table[2].startswith('| right | 100.0 ± 0.0 | 100.0 ± 0.0 |')
    assert table[3].startswith('| wrong | 0.0 ± 0.0 | 0.0 ± 0.0 |')
    assert [line.split(' | ')[0] for line in table[4:]] == [
        '| *chance*', '| *frames as a set*', '| *always right*']
    control = text.split('### static')[1].split('###')[0]
    assert 'frames as a set' not in control  # looks are enough there
    result = json.loads(results[1].read_text())
    results[1].write_text(json.dumps(dict(result, made_with=dict(seed=7))))
    code, said, _ = run(REPORT, *results)
    assert code == 1
    assert "{'seed': 7}" in said
