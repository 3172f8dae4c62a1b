"""The fastest program whose tokens are close enough encodes frames, where it pays to look."""
import copy

import numpy as np
import pytest
import torch

from mmc2v.apis import use_bf16_weights
from mmc2v.search import fastest
from mmc2v.search.encoder import ClipEncoder

from ..tiny import build_model
from .common import open_search, write_model, write_videos

MUCH = 10 ** 12  # bytes


@pytest.fixture
def model():
    return build_model('tdb-attention-differences', alignment=True).eval()


@pytest.fixture
def speeds(monkeypatch):
    """How fast the two programs are found to be, whatever they are here."""
    seconds = {'torch': 8.0, 'OpenVINO': 2.0}
    monkeypatch.setattr(fastest, '_fastest_of', lambda towers, images: {
        name: seconds[name] for name in towers})
    return seconds


def vectors(model, size=32):
    """Vectors of overlapping clips, one of them short."""
    images = np.random.default_rng(0).integers(0, 256, (9, size, size, 3), dtype=np.uint8)
    encoder = ClipEncoder(model, [np.arange(4), np.arange(2, 6), np.arange(6, 9)], 4)
    encoder.add(range(9), images)
    return encoder.finish().astype(float)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_the_fastest_program_takes_the_place_of_torch(model, speeds, precision):
    exact, expected = copy.deepcopy(model), vectors(model)
    if precision == 'bfloat16':
        use_bf16_weights(model)
    tower = model.backbone
    found = fastest.hasten(model, lambda: exact, (32, 32), precision, MUCH)
    assert found.startswith(f'frames are encoded by OpenVINO: OpenVINO in {precision} is 4.0 times')
    assert model.backbone is not tower
    assert (vectors(model) * expected).sum(1).min() > 0.9995
    if precision == 'float32':
        assert abs(vectors(model) - expected).max() < 1e-3  # kept in float16
        frames, mask = torch.randn(2, 3, 3, 32, 32), torch.ones(2, 3, dtype=torch.bool)
        with torch.inference_mode():
            torch.testing.assert_close(model.encode_video(frames, mask),
                                       exact.encode_video(frames, mask), rtol=0, atol=1e-5)


def test_torch_stays_where_the_other_is_slower_or_not_close(model, speeds, monkeypatch):
    tower = model.backbone
    speeds['OpenVINO'] = 10.0
    assert 'by torch: OpenVINO in float32 is 0.8 times as fast' in fastest.hasten(
        model, lambda: model, (32, 32), 'float32', MUCH)
    speeds['OpenVINO'] = 1.0
    monkeypatch.setattr(fastest, 'LEAST_COSINE', 1.1)
    assert 'by torch: OpenVINO in float32 is 8.0 times as fast' in fastest.hasten(
        model, lambda: model, (32, 32), 'float32', MUCH)
    assert model.backbone is tower


def test_nothing_is_tried_where_it_cannot_pay_or_cannot_be(model, speeds, monkeypatch):
    monkeypatch.setattr(fastest, 'OpenVINOFrameTower', None)
    assert fastest.hasten(model, None, (32, 32), 'float32', 10 ** 6) == ''
    speeds['torch'] = 0.001  # of eight images
    assert fastest.hasten(model, None, (32, 32), 'float32', 10 ** 9) == ''
    speeds['torch'] = 8.0
    monkeypatch.setattr(fastest, 'find_spec', lambda name: None)
    assert fastest.hasten(model, None, (32, 32), 'float32', MUCH) == ''


def test_a_tower_of_which_no_graph_can_be_made_stays(model, speeds):
    class Stubborn(type(model.backbone)):
        def forward(self, frames, mask):
            if torch.compiler.is_compiling():
                raise RuntimeError('not this one\nreally')
            return super().forward(frames, mask)
    model.backbone.__class__ = Stubborn
    assert fastest.hasten(model, lambda: model, (32, 32), 'float32', MUCH) == (
        'frames are encoded by torch: OpenVINO cannot (not this one)')


def test_an_index_is_made_by_it_and_says_so(tmp_path, speeds, monkeypatch):
    write_model(tmp_path)
    videos = write_videos(tmp_path / 'videos')
    reports, found = [], []
    for name, worth in (('torch', 1e9), ('fastest', 0.0)):
        monkeypatch.setattr(fastest, 'WORTH', worth)
        with open_search(tmp_path, tmp_path / name) as search:
            reports.append(search.add(videos, workers=1))
            contents = sorted(search.store.contents(), key=lambda item: item[1].duration)
            found.append(np.concatenate([content.vectors for _, content in contents]))
    assert [bool(report.encoded_by) for report in reports] == [False, True]
    assert reports[1].encoded_by.startswith('frames are encoded by OpenVINO')
    assert abs(found[0].astype(float) - found[1]).max() < 1e-3
