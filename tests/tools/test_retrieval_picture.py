"""The picture of queries: what is framed, what is written, and that nothing is cut."""
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from PIL import Image, ImageDraw
from visualizations.picture_text import font, shorten, wrap
from visualizations.retrieval_picture import draw_queries, valid_frames

from mmc2v.evaluation import RetrievalEmbeddings
from mmc2v.registry import HOOKS

from ..models import golden
from ..tiny import ROOT, full_disk, run_config, write_dataset
from .test_command_lines import run

GREEN = (0, 160, 60)


class Videos(BaseDataset):
    """Test videos of four frames, each of one colour."""

    def __init__(self, names):
        self.names = names
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(video_id=f'{name}.mp4') for name in self.names]

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


def embeddings(caption, scores, correct=3, names='abcde', **kwargs):
    """A dump whose first video is the correct one, so that its caption is the one drawn."""
    order = [correct, *(index for index in range(5) if index != correct)]
    return RetrievalEmbeddings(**{**dict(
        video=np.eye(5, dtype=np.float32)[order], text=np.tile(np.float32(scores), (6, 1)),
        video_ids=np.array([f'{names[index]}.mp4' for index in order]),
        undecodable=np.zeros(5, dtype=bool), captions=np.array([caption, *['not drawn'] * 5]),
        owner=np.array([0, 0, 1, 2, 3, 4])), **kwargs})


def draw(folder, caption, scores, names='abcde', **kwargs):
    """Draw one query with these scores of the five videos."""
    draw_queries(embeddings(caption, scores, names=names, **kwargs), Videos(names),
                 folder / 'retrieval.png', num_queries=1, top_k=2, frame_size=20)
    return Image.open(folder / 'retrieval.png').convert('RGB')


def greens(image):
    return (np.asarray(image) == GREEN).all(axis=2)


def test_a_dump_is_drawn_as_the_test_script_draws_it(tmp_path, monkeypatch):
    """A dump that the config asks for is drawn and kept; otherwise nothing but the picture is."""
    write_dataset(tmp_path / 'data', num_videos=5)
    config = run_config(tmp_path / 'data', tmp_path / 'work', experiment_name='picture')
    config.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=Runner.from_cfg(config).model.state_dict()), tmp_path / 'tiny.pth')
    test = golden.load_tool('test.py')
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temporary'))
    pictures = []
    for name, options in (('not_kept', []), ('kept', [
            '--cfg-options', f'test_evaluator.dump={tmp_path / "dump.npz"}'])):
        monkeypatch.setattr('sys.argv', [
            'test.py', str(tmp_path / 'tiny.py'), str(tmp_path / 'tiny.pth'), '--show-dir',
            str(tmp_path / name), *options, '--work-dir', str(tmp_path / 'work' / name)])
        test.main()
        pictures.append((tmp_path / name / 'retrieval.png').read_bytes())
    assert not list((tmp_path / 'temporary').iterdir())
    tool, out = 'visualizations/draw_retrieval.py', tmp_path / 'again.png'
    code, _, shown = run(tool, tmp_path / 'dump.npz', tmp_path / 'tiny.py', '--out', out)
    assert (code, shown) == (0, f'{out}\n')
    assert pictures == [out.read_bytes()] * 2
    image = Image.open(out).convert('RGB')
    assert image.width > 2 * 4 * 72  # two columns of four frames
    assert greens(image).sum() > 5 * 4 * 72 * 2  # a frame of three pixels around five videos
    code, said, _ = run(tool, tmp_path / 'dump.npz', tmp_path / 'tiny.py', '--out', out,
                        '--cfg-options', 'test_dataloader.dataset.indices=2')
    assert code == 1
    assert "3 of the 5 embedded videos are not in the config's test set, the first is '2.mp4'" in \
        said


def test_a_config_of_the_former_hook_is_told_what_draws():
    with pytest.raises(ValueError, match=r'tools/test\.py --show-dir.*draw_retrieval\.py'):
        HOOKS.build(dict(type='mmc2v.RetrievalPictureHook', out_dir='shown', num_queries=3))
    assert (ROOT / 'tools' / 'visualizations' / 'draw_retrieval.py').exists()


def test_a_full_disk_leaves_the_old_picture_and_names_it(tmp_path):
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


def test_rounding_breaks_no_tie_and_undecodable_videos_come_last(tmp_path, written):
    """As the metric ranks, whatever the product of matrices rounds to."""
    videos = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    videos[1:4] = videos[0]
    for caption in np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32):
        caption += 0.3 * videos[0]
        draw(tmp_path, 'a caption', [], video=videos, text=np.tile(caption, (6, 1)))
    assert {line for line in written if 'the correct video' in line} <= {
        f'a miss: the correct video has rank {rank} of 5; it is framed in green' for rank in (4, 5)}
    written.clear()
    draw(tmp_path, 'a caption', [0.1, 0.2, 0.3, 0.9, 0.4], undecodable=np.arange(5) == 0)
    assert 'rank 5 of 5' in written[1]
    assert written[2] == '1\n0.40'


def test_features_have_no_picture():
    class Features(Videos):
        def __getitem__(self, index):
            return dict(inputs=dict(frames=torch.zeros(4, 512)))
    with pytest.raises(ValueError, match='without --show-dir'):
        valid_frames(Features('abcde'), 0)


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
