"""The picture of queries: what is framed, what is written, and that nothing is cut."""
import json

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.runner import Runner
from PIL import Image, ImageDraw

from mmc2v.engine import RetrievalPictureHook
from mmc2v.engine.picture_text import font, shorten, wrap

from ..tiny import full_disk, run_config, write_dataset

GREEN = (0, 160, 60)


class Videos:
    """Five test videos of four frames, each of one colour."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return dict(inputs=dict(frames=torch.full((4, 3, 8, 8), 40 * index, dtype=torch.uint8),
                                frame_mask=torch.ones(4, dtype=torch.bool)))


@pytest.fixture
def written(monkeypatch):
    """Every text that is drawn."""
    texts, draw = [], ImageDraw.ImageDraw.text

    def text(self, place, content, *args, **kwargs):
        texts.append(content)
        return draw(self, place, content, *args, **kwargs)
    monkeypatch.setattr(ImageDraw.ImageDraw, 'text', text)
    return texts


def draw(folder, caption, scores, own=3, top_k=2, names='abcde'):
    """Draw one query with these scores of the five videos."""
    hook = RetrievalPictureHook(str(folder), num_queries=1, top_k=top_k, frame_size=20)
    samples = []
    for index, name in enumerate(names):
        sample = ActionDataSample(video_embedding=torch.eye(5)[index],
                                  text_embeddings=torch.tensor([scores]))
        sample.set_metainfo(dict(video_id=f'{name}.mp4', captions=[caption]))
        samples.append(sample)
    samples = samples[own:] + samples[:own]  # the first item of the set is the one that is drawn

    class Rotated(Videos):
        def __getitem__(self, index):
            return super().__getitem__((index + own) % 5)

    class Run:
        test_dataloader = type('Loader', (), dict(dataset=Rotated()))
        logger = type('Log', (), dict(info=staticmethod(lambda line: None)))
    hook.after_test_iter(Run, 0, dict(inputs=dict(frames=[torch.zeros(4, 3, 8, 8)])), samples)
    hook.after_test_epoch(Run)
    return Image.open(folder / 'retrieval.png').convert('RGB')


def greens(image):
    return (np.asarray(image) == GREEN).all(axis=2)


def test_the_picture_of_a_run(tmp_path):
    write_dataset(tmp_path / 'data', num_videos=5)
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='picture')
    config.custom_hooks = [dict(type='mmc2v.RetrievalPictureHook', num_queries=3, top_k=2,
                                out_dir=str(tmp_path / 'shown'), frame_size=40)]
    config.test_dataloader.dataset.indices = 1  # one video, which is then found
    metrics = Runner.from_cfg(config).test()
    assert metrics['t2v/R1'] == 100
    assert json.dumps(metrics)
    image = Image.open(tmp_path / 'shown' / 'retrieval.png').convert('RGB')
    assert image.width > 4 * 40  # four frames
    assert greens(image).sum() > 4 * 40 * 2  # a frame of three pixels around them


def test_a_full_disk_leaves_the_old_picture_and_names_it(tmp_path, written):
    image = draw(tmp_path, 'old', [0.1, 0.2, 0.3, 0.9, 0.4])
    with full_disk(), pytest.raises(OSError, match=r"retrieval\.png'"):
        draw(tmp_path, 'new', [0.9, 0.2, 0.3, 0.1, 0.4])
    assert [path.name for path in tmp_path.iterdir()] == ['retrieval.png']
    assert Image.open(tmp_path / 'retrieval.png').size == image.size


def test_names_stand_below_the_videos(tmp_path, written):
    draw(tmp_path, 'a caption', [0.1, 0.2, 0.3, 0.9, 0.4])
    assert written == ['"a caption"', 'the correct video has rank 1 of 5', '1\n0.90', 'd.mp4',
                       '2\n0.40', 'e.mp4']


def test_a_miss_shows_the_correct_video_and_its_rank_too(tmp_path, written):
    image = draw(tmp_path, 'a caption', [0.9, 0.8, 0.7, 0.6, 0.1])
    assert written == [
        '"a caption"', 'a miss: the correct video has rank 4 of 5; it is framed in green',
        '1\n0.90', 'a.mp4', '2\n0.80', 'b.mp4', '4\n0.60', 'd.mp4']
    rows = np.flatnonzero(greens(image).any(axis=1))
    assert rows.min() > image.height / 2  # the last row alone
    assert (np.asarray(image)[(rows.min() + rows.max()) // 2, 60:130] == 120).any()  # its frames


def test_ties_count_against_the_model_as_in_the_metric(tmp_path, written):
    draw(tmp_path, 'a caption', [0.1, 0.5, 0.5, 0.5, 0.1])
    assert written[1].startswith('a miss: the correct video has rank 3 of 5')
    assert written[-2:] == ['3\n0.50', 'd.mp4']


@pytest.mark.parametrize('caption', [
    'a man walks his dog along the river while children play ' * 6, 'x' * 300, 'two\nlines\tof it',
    'Привет, κόσμε: 一只狗 🐕 עברית e\u0301', '$5 and $6'], ids=lambda caption: caption[:9])
def test_captions_are_wrapped_and_never_cut(caption, tmp_path, written):
    image = draw(tmp_path, caption, [0.1, 0.2, 0.3, 0.9, 0.4])
    lines = written[0].split('\n')
    assert ''.join(lines).replace(' ', '') == ''.join(f'"{caption}"'.split())
    for line in lines:
        assert 8 + font(15).getlength(line) <= image.width
    assert len(lines) == 1 or len(caption) > 40


def test_long_names_are_shortened_in_the_middle(tmp_path, written):
    names = ['a', 'b', 'c', 'folder/' + 'very_long_' * 20 + '_the_end', 'e']
    image = draw(tmp_path, 'a caption', [0.1, 0.2, 0.3, 0.9, 0.4], names=names)
    assert written[3].startswith('folder/very_long_')
    assert written[3].endswith('_the_end.mp4')
    assert '…' in written[3]
    assert 56 + font(11).getlength(written[3]) <= image.width


def test_features_have_no_picture():
    hook = RetrievalPictureHook('unused')
    with pytest.raises(ValueError, match='without --show-dir'):
        hook.after_test_iter(None, 0, dict(inputs=dict(frames=[torch.zeros(4, 512)])), [])


def test_wrapping_and_shortening():
    face = font(12)
    assert wrap('one two', face, 1000) == ['one two']
    assert wrap('', face, 10) == ['']
    assert ' '.join(wrap('one two three', face, face.getlength('one two'))) == 'one two three'
    assert len(wrap('one two three', face, face.getlength('one two'))) == 2
    assert shorten('short.mp4', face, 1000) == 'short.mp4'
    short = shorten('abcdefghijklmnop', face, face.getlength('abcd…mnop'))
    assert (short[0], short[-1]) == ('a', 'p')
    assert face.getlength(short) <= face.getlength('abcd…mnop')
