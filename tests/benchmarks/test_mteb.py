"""MTEB's own classes give the scores of the model's vectors."""
import json
import re
import socket
import sys

import mteb
import numpy as np
import pytest
import torch
from datasets import Dataset, Video
from mmengine.config import Config
from mteb.mocks import mock_tasks
from mteb.models.model_meta import ModelMeta
from torch.utils.data import DataLoader

from mmc2v.apis import encode_texts, encode_videos, init_model
from mmc2v.benchmarks import MTEBEncoder, not_stated, require_separate_modalities
from mmc2v.video import VideoDecodeError

from ..search.common import write_model
from ..tiny import ROOT
from ..tools.test_command_lines import run
from .made_tasks import CAPTIONS, NUM, as_bytes, encode, rows, task, write_videos

pytestmark = pytest.mark.filterwarnings('ignore:The task .* is currently in beta')


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """MTEB may look into the hub for what it is not told."""
    connect = socket.socket.connect

    def refuse(self, address):
        assert self.family == socket.AF_UNIX, f'connects to {address}'  # of a loader's workers
        return connect(self, address)
    monkeypatch.setattr(socket.socket, 'connect', refuse)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A model's config and checkpoint, videos, and the vectors of the model by our own API."""
    folder = tmp_path_factory.mktemp('mteb')
    config, checkpoint = write_model(folder)
    paths = write_videos(folder)
    model = init_model(config, checkpoint)
    return dict(config=config, checkpoint=checkpoint, paths=paths,
                texts=encode_texts(model, CAPTIONS), videos=encode_videos(model, paths))


def encoder(made, **kwargs):
    return MTEBEncoder(**{**dict(model_name='made/model', device='cpu', config=made['config'],
                                 checkpoint=made['checkpoint']), **kwargs})


def ranks_by_hand(scores):
    """(N,) ranks of the diagonal, from 1; no two scores of a row are equal."""
    assert all(len(set(row)) == len(row) for row in scores.tolist())
    return np.array([1 + (row > row[number]).sum() for number, row in enumerate(scores)])


@pytest.mark.parametrize(('category', 'batch_size', 'workers'),
                         [('t2v', 3, 0), ('v2t', 16, 0), ('t2v', 2, 1)])
def test_scores_are_those_of_the_vectors(category, batch_size, workers, made, tmp_path):
    result = mteb.evaluate(
        encoder(made, workers=workers), task(category, as_bytes(made['paths'])),
        cache=mteb.ResultCache(tmp_path), co2_tracker=False, prediction_folder=tmp_path,
        encode_kwargs=dict(batch_size=batch_size), show_progress_bar=False)
    scores = (made['texts'] @ made['videos'].T).numpy()
    scores = scores if category == 't2v' else scores.T
    predicted = json.loads((tmp_path / 'Made_predictions.json').read_text())['default']['test']
    found = [[predicted[f'row{query}'][f'row{document}'] for document in range(NUM)]
             for query in range(NUM)]
    np.testing.assert_allclose(found, scores, atol=1e-6)
    ranks = ranks_by_hand(scores)
    assert len(set(ranks)) > 3  # neither all right nor all wrong
    told = result.task_results[0].scores['test'][0]
    for most in (1, 3, 5):
        assert told[f'hit_rate_at_{most}'] == pytest.approx((ranks <= most).mean(), abs=1e-5)
    assert told['main_score'] == told['ndcg_at_10'] == pytest.approx(
        (1 / np.log2(1 + ranks)).mean(), abs=1e-5)
    assert told['mrr_at_10'] == pytest.approx((1 / ranks).mean(), abs=1e-5)


def test_bf16_gives_unit_vectors_in_results_of_their_own(made, tmp_path):
    half = encoder(made, bf16=True, revision='1')
    for found, full in ((encode(half, rows(made['paths'], 'v')), made['videos']),
                        (encode(half, rows(made['paths'], 't')), made['texts'])):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.norm(dim=1), torch.ones(NUM), atol=1e-5, rtol=0)
        assert (found - full).abs().max() > 1e-4
        assert torch.cosine_similarity(found, full).min() > 0.999
    cache = mteb.ResultCache(tmp_path)
    places = {cache.get_task_result_path('Made', each.mteb_model_meta)
              for each in (half, encoder(made, revision='1'))}
    assert len(places) == 2


@pytest.mark.parametrize(('category', 'named'), [
    ('vt2v', 'text with video'), ('va2t', 'audio with video'), ('i2v', 'image'), ('t2a', 'audio')])
def test_what_is_no_text_and_no_video_is_refused(category, named, made):
    refused = task(category, made['paths'])
    said = f"an item of the task 'Made' is {named}; this model encodes a text or a video"
    with pytest.raises(ValueError, match=said):
        require_separate_modalities(refused)
    refused.load_data()
    letters = next(side for side in category.split('2') if side not in ('t', 'v'))
    side = 'queries' if category.startswith(letters) else 'corpus'
    with pytest.raises(ValueError, match=said):
        encode(encoder(made), DataLoader(refused.dataset['default']['test'][side], 4))


def test_tasks_of_one_modality_a_side_are_not_refused(made):
    for category in ('t2v', 'v2t', 'v2v', 't2t'):
        require_separate_modalities(task(category, made['paths']))


def test_mtebs_own_mock_tasks_run_or_are_refused(made):
    names = [name for name in dir(mock_tasks) if name.startswith('Mock') and 'Video' in name]
    model, done = encoder(made), set()
    for name in names:
        mock = getattr(mock_tasks, name)()
        if 'audio' in mock.metadata.modalities:
            with pytest.raises(ValueError, match='audio'):
                require_separate_modalities(mock)
            continue
        require_separate_modalities(mock)
        result = mteb.evaluate(model, mock, cache=None, co2_tracker=False, show_progress_bar=False)
        assert 0 <= result.task_results[0].scores['test'][0]['main_score'] <= 1
        done.add(mock.metadata.type)
    assert done == {'Any2AnyRetrieval', 'VideoClassification', 'VideoClustering',
                    'VideoMultilabelClassification', 'VideoPairClassification',
                    'VideoZeroshotClassification'}
    assert len(names) > 15


def test_a_column_that_holds_no_files_is_refused(made):
    numbers = Dataset.from_dict(dict(video=[[1.0, 2.0]]))
    with pytest.raises(ValueError, match="'video' of the task Made is List.*, not of files"):
        encode(encoder(made), DataLoader(numbers, 4))


def test_a_video_that_cannot_be_decoded_is_named_by_its_row(made):
    videos = [*as_bytes(made['paths'])[:2], dict(path='broken.mp4', bytes=b'no video')]
    found = Dataset.from_dict(dict(id=['a', 'b', 'c'], video=videos)).cast_column('video', Video())
    with pytest.raises(VideoDecodeError, match="^the video 'c broken.mp4' cannot be decoded: "):
        encode(encoder(made), DataLoader(found, 4))


def test_a_model_of_features_is_refused(made, tmp_path):
    config = Config.fromfile(made['config'])
    config.test_dataloader.dataset.pipeline[:4] = [dict(type='mmc2v.LoadFeatures')]
    with pytest.raises(ValueError, match='features in place of frames'):
        encoder(made, config=config)


def test_what_is_measured_is_the_model(made):
    model = encoder(made)
    meta = model.mteb_model_meta
    parameters = sum(each.numel() for each in model.model.parameters())
    assert meta.n_parameters == parameters > meta.n_embedding_parameters == 49408 * 64
    assert meta.memory_usage_mb == round(parameters * 4 / 2 ** 20, 1)
    assert (meta.embed_dim, meta.max_tokens) == (made['texts'].shape[1], 32)
    assert (meta.framework, meta.modalities) == (['PyTorch'], ['video', 'text'])
    assert not_stated(meta) == ['release_date', 'languages', 'license', 'open_weights',
                                'reference', 'training_datasets']


def test_what_is_stated_is_kept_and_checked(made):
    meta = encoder(made, revision='abc', stated=dict(
        release_date='2026-11-27', languages='eng-Latn,deu-Latn', license='apache-2.0',
        open_weights='true', reference='https://example.org/model',
        training_datasets='MSRVTTT2V')).mteb_model_meta
    assert (meta.name, meta.revision) == ('made/model', 'abc')
    assert meta.languages == ['eng-Latn', 'deu-Latn']
    assert (meta.open_weights, meta.training_datasets) == (True, {'MSRVTTT2V'})
    assert not_stated(meta) == []
    for stated, said in ((dict(licence='mit'), "'licence' is none of.*did you mean 'license'?"),
                         (dict(license='mine'), "does not take license.*='mine'"),
                         (dict(n_parameters='5'), "'n_parameters' is none of"),
                         (dict(languages='English'), "does not take languages")):
        with pytest.raises(ValueError, match=said) as error:
            encoder(made, stated=stated)
        assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match="does not take name='model'"):
        encoder(made, model_name='model')


def test_the_revision_tells_what_vectors_depend_on(made, tmp_path):
    def revision(change=lambda config: None, checkpoint=made['checkpoint']):
        config = Config.fromfile(made['config'])
        change(config)
        return encoder(made, config=config, checkpoint=checkpoint).mteb_model_meta.revision

    def other_frames(config):
        config.test_dataloader.dataset.pipeline[1].num_frames = 2

    def other_start(config):
        config.model.pretrained = 'elsewhere.pt'  # not read where there is a checkpoint

    other = write_model(tmp_path, seed=1)[1]
    assert revision() == revision(other_start)
    assert len({revision(), revision(other_frames), revision(checkpoint=other)}) == 3


def test_the_page_says_of_tasks_what_mteb_says():
    page = (ROOT / 'docs' / 'benchmarks.md').read_text()
    rows = re.findall(r'^\| `(.+)`, `(.+)` \| ([\d,]+) \| (yes|no), (yes|no) \|', page, re.M)
    assert len(rows) == 5
    for *names, count, first_is_beta, second_is_beta in rows:
        for name, is_beta in zip(names, (first_is_beta, second_is_beta)):
            found = mteb.get_task(name)
            require_separate_modalities(found)
            assert found.metadata.is_beta == (is_beta == 'yes'), name
            assert found.metadata.superseded_by is None
            # queries and candidates
            assert found.metadata.n_samples['test'] == 2 * int(count.replace(',', '')), name
    assert '(879 examples)' in mteb.get_task('MSRVTTT2V').metadata.description
    refused = page.partition('Refused, before')[2].partition('`VinogroundPair')[0]
    for name in re.findall(r'^- (.+)$', refused, re.M):
        for each in re.findall(r'`(\w+)`', name):
            with pytest.raises(ValueError, match='each on its own'):
                require_separate_modalities(mteb.get_task(each))
    require_separate_modalities(mteb.get_task('VinogroundPairClassification'))
    assert mteb.__version__ in page


def test_the_tool_writes_results_once(made, tmp_path, monkeypatch):
    made_task = task('t2v', as_bytes(made['paths']))
    monkeypatch.setattr(mteb, 'get_task', lambda name: {'Made': made_task}[name])
    line = ['mteb.py', made['config'], made['checkpoint'], '--tasks', 'Made', '--out',
            tmp_path, '--device', 'cpu', '--workers', 0, '--name', 'made/model', '--revision', '1',
            '--meta', 'license=mit', 'languages=eng-Latn']
    code, said, shown = run(*line)
    assert code == 0, said
    scores = json.loads((tmp_path / 'results/made__model/1/Made.json').read_text())['scores']
    meta = ModelMeta.model_validate_json_resolved(  # as where results are submitted
        (tmp_path / 'results/made__model/1/model_meta.json').read_text())
    assert (meta.name, meta.license, meta.languages) == ('made/model', 'mit', ['eng-Latn'])
    ranks = ranks_by_hand((made['texts'] @ made['videos'].T).numpy())
    row = next(line for line in shown.splitlines() if line.startswith('Made')).split()
    assert row[1:3] == ['ndcg_at_10', f'{100 * scores["test"][0]["main_score"]:.1f}']
    assert row[3:] == [f'{100 * (ranks <= most).mean():.1f}' for most in (1, 5, 10)]
    assert 'not stated, and wanted where results are submitted (--meta): release_date, ' in shown
    monkeypatch.setattr(MTEBEncoder, 'encode', None)  # a second time nothing is encoded
    again = run(*line)
    assert again[0] == 0
    assert shown.splitlines()[-4:] == again[2].splitlines()[-4:]


def test_without_mteb_the_command_that_installs_it_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith('mmc2v.benchmarks')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'mteb', None)
    code, said, _ = run('mteb.py', 'config.py')
    assert code == 1
    assert said == "error: the tasks of MTEB need its package: pip install 'mmc2v[mteb]'\n"
