"""Training on frozen features: what is read, and that it is what the tower gives."""
import io
import json
import pickle
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmc2v.datasets import FeatureTextDataset, LoadFeatures, VideoDecodeError
from mmc2v.datasets.feature_text_dataset import feature_files, save_features
from mmc2v.datasets.transforms.features import MAX_CHANNELS
from mmc2v.registry import MODELS

from ..tiny import ROOT, full_disk, model_config, random_video, run_config, write_dataset


def pipeline(num_frames=4):
    return [dict(type='mmc2v.LoadFeatures', num_frames=num_frames),
            dict(type='mmc2v.Tokenize', max_words=32), dict(type='mmc2v.PackRetrievalInputs')]


def write(folder, **arrays):
    folder.mkdir(exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f'{name}.npy', values)


def test_features_are_spread_evenly_or_padded(tmp_path):
    write(tmp_path, long=np.arange(20.0).reshape(10, 2), short=np.ones((2, 2), np.float16))
    (tmp_path / 'all.json').write_text(json.dumps({'long.mp4': ['a'], 'short.avi': ['b', 'c']}))
    dataset = FeatureTextDataset('all.json', data_root=str(tmp_path), data_prefix=dict(video=''),
                                 pipeline=pipeline(), test_mode=True)
    long, short = dataset[0], dataset[1]
    assert long['inputs']['frames'][:, 0].tolist() == [0, 6, 12, 18]
    assert long['inputs']['frame_mask'].all()
    assert short['inputs']['frames'].dtype == torch.float32
    assert short['inputs']['frame_mask'].tolist() == [True, True, False, False]
    assert short['inputs']['tokens'].shape[0] == 2
    assert short['data_samples'].video_id == 'short.avi'


def test_names_with_dots_have_files_of_their_own(tmp_path):
    names = ['a_0.5', 'a_0.7', 'video0.mp4', 'b/v.1.MKV', 'c/video0.mp4', 'video0.mp4']
    assert feature_files(tmp_path, names) == {
        'a_0.5': tmp_path / 'a_0.5.npy', 'a_0.7': tmp_path / 'a_0.7.npy',
        'video0.mp4': tmp_path / 'video0.npy', 'b/v.1.MKV': tmp_path / 'b' / 'v.1.npy',
        'c/video0.mp4': tmp_path / 'c' / 'video0.npy'}


def test_two_videos_do_not_share_features(tmp_path):
    write(tmp_path, a=np.zeros((3, 2)))
    (tmp_path / 'all.json').write_text(json.dumps({'a.mp4': ['a'], 'a.webm': ['b']}))
    with pytest.raises(ValueError, match=r"'a\.mp4' and of 'a\.webm' would be one file '.*a\.npy"):
        FeatureTextDataset('all.json', data_root=str(tmp_path), data_prefix=dict(video=''),
                           pipeline=pipeline())


def test_a_full_disk_leaves_the_old_features_and_nothing_else(tmp_path):
    save_features(tmp_path / 'a.npy', np.zeros((2, 3), np.float32))
    with full_disk(), pytest.raises(OSError, match=r'a\.npy'):
        save_features(tmp_path / 'a.npy', np.zeros((500, 3), np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ['a.npy']
    assert np.load(tmp_path / 'a.npy').shape == (2, 3)


@pytest.mark.parametrize('damage', ['an archive', 'brackets', 'signs', 'huge'])
def test_damaged_headers_are_named(damage, tmp_path):
    path = tmp_path / 'a.npy'
    if damage == 'an archive':
        np.savez(tmp_path / 'a.npz', a=np.zeros((2, 3)))
        (tmp_path / 'a.npz').rename(path)
    else:
        shape = {'brackets': '(' * 5000, 'signs': '-' * 5000 + '1', 'huge': f'({10 ** 30}, 4)'}
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape[damage]}}}\n".encode()
        path.write_bytes(b'\x93NUMPY\1\0' + len(header).to_bytes(2, 'little') + header)
    with pytest.raises(VideoDecodeError, match=r'a\.npy.*not an \.npy file of numbers'):
        LoadFeatures().transform(dict(filename=str(path)))


@pytest.mark.parametrize(('content', 'message'), [
    (np.zeros(4), r'float64 of shape \(4,\), expected floats of \(frames, channels\)'),
    (np.zeros((0, 4)), r'shape \(0, 4\)'),
    (np.zeros((4, 0)), r'shape \(4, 0\)'),
    (np.zeros((1, MAX_CHANNELS + 1), np.float16), '65537 channels, more than the 65536'),
    (np.zeros((2, 4), np.int64), 'int64'),
    (np.array([[1.0, np.nan]]), 'NaN'),
    (np.array([[{}]]), 'not an .npy file of numbers')])
def test_wrong_files_are_named(content, message, tmp_path):
    np.save(tmp_path / 'a.npy', content, allow_pickle=True)
    with pytest.raises(VideoDecodeError, match=f'a.npy.*{message}'):
        LoadFeatures().transform(dict(filename=str(tmp_path / 'a.npy')))


def test_missing_features_are_listed(tmp_path):
    (tmp_path / 'all.json').write_text(json.dumps({'gone.mp4': ['a']}))
    with pytest.raises(FileNotFoundError, match=r'gone\.npy'):
        FeatureTextDataset('all.json', data_root=str(tmp_path), data_prefix=dict(video=''),
                           pipeline=pipeline())


def test_wrong_width_is_refused():
    with pytest.raises(ValueError, match='features have 5 channels, in_channels is 4'):
        MODELS.build(dict(type='mmc2v.FeatureProjection', in_channels=4, embed_dim=8))(
            torch.zeros(2, 3, 5), torch.ones(2, 3, dtype=torch.bool))


def test_extracted_features_are_the_towers_and_train(tmp_path, monkeypatch):
    """tools/extract_features.py, then a run on what it wrote."""
    write_dataset(tmp_path / 'data', num_videos=6)
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='features')
    config.dump(tmp_path / 'tiny.py')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'tiny.pth')
    out = tmp_path / 'data' / 'features'
    main = runpy.run_path(str(ROOT / 'tools' / 'extract_features.py'), run_name='tool')['main']
    monkeypatch.setattr(sys, 'argv', ['extract_features.py', str(tmp_path / 'tiny.py'),
                                      str(tmp_path / 'tiny.pth'), '--out', str(out),
                                      '--workers', '0'])
    main()
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(before) == [f'{i}.npy' for i in range(6)]
    main()  # nothing is done twice, and what cannot be decoded is said
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    from mmc2v.registry import DATASETS
    item = DATASETS.build(config.test_dataloader.dataset)[2]
    inputs = model.data_preprocessor(dict(inputs={
        key: [value] for key, value in item['inputs'].items()}))['inputs']
    with torch.no_grad():
        frame_mask = inputs['frame_mask']
        expected = model.backbone(inputs['frames'], frame_mask)[0][frame_mask]
    torch.testing.assert_close(torch.from_numpy(np.load(out / '2.npy')), expected,
                               atol=1e-5, rtol=1e-4)

    frozen = model_config(data_preprocessor=dict(
        type='mmc2v.RetrievalDataPreprocessor', mean=None, std=None))
    frozen['backbone'] = dict(type='mmc2v.FeatureProjection', in_channels=64, embed_dim=64)
    dataset = dict(type='mmc2v.FeatureTextDataset', ann_file='all.json',
                   data_root=str(tmp_path / 'data'), data_prefix=dict(video='features'),
                   pipeline=pipeline())
    run = run_config(tmp_path / 'data', tmp_path / 'run', experiment_name='frozen', epochs=1)
    run.model = frozen
    for name in ('train', 'val', 'test'):
        run[f'{name}_dataloader'].dataset = dict(dataset, test_mode=name != 'train')
    runner = Runner.from_cfg(run)
    runner.train()
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


def test_undecodable_videos_get_no_features_and_are_listed(tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', num_videos=3)
    (tmp_path / 'data' / 'videos' / '1.mp4').write_text('broken')
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='broken')
    config.dump(tmp_path / 'tiny.py')
    tool = runpy.run_path(str(ROOT / 'tools' / 'extract_features.py'), run_name='tool')
    arguments = ['extract_features.py', str(tmp_path / 'tiny.py'), '--out',
                 str(tmp_path / 'features'), '--workers', '0']
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(ValueError, match=r'of the tower would be random.*backbone\.visual'):
        tool['main']()
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), tmp_path / 'tiny.pth')
    monkeypatch.setattr(sys, 'argv', [*arguments[:2], str(tmp_path / 'tiny.pth'), *arguments[2:]])
    with pytest.raises(SystemExit, match=r'have no features:\n1\.mp4'):
        tool['main']()
    assert sorted(path.name for path in (tmp_path / 'features').iterdir()) == ['0.npy', '2.npy']


@pytest.mark.parametrize(('annotations', 'message'), [
    ([{'../evil.mp4': ['a']}] * 2, r"train\.json': the video '\.\./evil\.mp4' is outside"),
    ([{'0.mp4': ['a']}, {'0.mkv': ['b']}], r"'0\.mp4' and of '0\.mkv' would be one file")])
def test_extraction_writes_into_its_folder_and_no_file_twice(annotations, message, tmp_path,
                                                             monkeypatch):
    data, out = tmp_path / 'data', tmp_path / 'out' / 'features'
    (data / 'videos').mkdir(parents=True)
    for name in ('evil.mp4', 'videos/0.mp4', 'videos/0.mkv'):
        random_video(data / name, num_frames=5)
    config = run_config(data, tmp_path / 'work')
    for split, annotation in zip(('train', 'test'), annotations):
        (data / f'{split}.json').write_text(json.dumps(annotation))
        config[f'{split}_dataloader'].dataset.ann_file = f'{split}.json'
    config.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), tmp_path / 'tiny.pth')
    monkeypatch.setattr(sys, 'argv', ['extract_features.py', str(tmp_path / 'tiny.py'),
                                      str(tmp_path / 'tiny.pth'), '--out', str(out),
                                      '--workers', '0'])
    with pytest.raises(ValueError, match=message):
        runpy.run_path(str(ROOT / 'tools' / 'extract_features.py'), run_name='tool')['main']()
    assert not (tmp_path / 'out').exists()


def converter():
    return runpy.run_path(str(ROOT / 'tools' / 'dataset_converters' / 'mmaction_features.py'))


@pytest.mark.parametrize('protocol', [2, 5])
@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
def test_pickled_arrays_and_tensors_are_read(make, protocol, tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(make(values), protocol))
    assert np.array_equal(converter()['read'](tmp_path / 'a.pkl', 'TC'), values)
    assert np.array_equal(converter()['read'](tmp_path / 'a.pkl', 'CT'), values.T)
    (tmp_path / 'b.pkl').write_bytes(pickle.dumps(make(values[None]), protocol))
    assert np.array_equal(converter()['read'](tmp_path / 'b.pkl', 'TC'), values)


def test_pickles_that_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / 'touched'), 'w'))

    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r'a\.pkl.*refers to (_io|io)\.open, which is no part'):
        converter()['read'](tmp_path / 'a.pkl', 'TC')
    assert not (tmp_path / 'touched').exists()
    class Archived:  # as no pickle of a tensor has it; it may be a TorchScript program
        def __reduce__(self):
            stream = io.BytesIO()
            torch.save(torch.zeros(2, 2), stream)
            return torch.storage._load_from_bytes, (stream.getvalue(),)

    (tmp_path / 'c.pkl').write_bytes(pickle.dumps(Archived()))
    with pytest.raises(ValueError, match=r'c\.pkl.*a tensor in it is an archive'):
        converter()['read'](tmp_path / 'c.pkl', 'TC')
    made = (b'\x80\x02cnumpy\nndarray\n(J' + (10 ** 8).to_bytes(4, 'little') + b'K\x01\x86tR.')
    (tmp_path / 'd.pkl').write_bytes(made)
    with pytest.raises(ValueError, match=r'd\.pkl.*names 100000000 numbers and does not hold'):
        converter()['read'](tmp_path / 'd.pkl', 'TC')
    (tmp_path / 'b.pkl').write_bytes(pickle.dumps(np.zeros((2, 3, 4), np.float32)))
    with pytest.raises(ValueError, match=r'\(2, 3, 4\), expected two sides'):
        converter()['read'](tmp_path / 'b.pkl', 'TC')


def test_pickles_of_one_video_and_damaged_ones_are_named(tmp_path, monkeypatch):
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('a_0.5', 'a_0.7', 'b.mp4'):
        (source / f'{name}.pkl').write_bytes(pickle.dumps(np.zeros((2, 3), np.float32)))
    # a memo that was never written to, which is a KeyError or an IndexError of the unpickler
    (source / 'broken.mp4.pkl').write_bytes(b'\x80\x04h\x05.')
    monkeypatch.setattr(sys, 'argv', ['mmaction_features.py', str(source), '--out',
                                      str(tmp_path / 'out'), '--layout', 'TC'])
    with pytest.raises(SystemExit, match=r"broken\.mp4\.pkl' is no pickled array"):
        converter()['main']()
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'a_0.5.npy', 'a_0.7.npy', 'b.npy']
    (source / 'b.avi.pkl').write_bytes(b'')
    with pytest.raises(ValueError, match=r"'b\.avi' and of 'b\.mp4' would be one file"):
        converter()['main']()
