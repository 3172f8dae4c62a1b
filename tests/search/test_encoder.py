"""Clips that share frames are what each of them is by itself."""
import numpy as np
import pytest
import torch

from mmc2v.registry import MODELS
from mmc2v.search.encoder import ClipEncoder
from mmc2v.search.frames import ClipFrames, Clips, Damage, Part
from mmc2v.video import BACKENDS

from ..tiny import build_model, model_config, pipeline, random_video


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def alone(model, frames, num_frames):
    """Encode one clip as evaluation does."""
    padded = torch.zeros(num_frames, 3, 32, 32, dtype=torch.uint8)
    padded[:len(frames)] = torch.from_numpy(frames).permute(0, 3, 1, 2)
    inputs = model.data_preprocessor(dict(inputs=dict(
        frames=[padded], frame_mask=[torch.arange(num_frames) < len(frames)])))['inputs']
    with torch.inference_mode():
        return model.encode_video(inputs['frames'], inputs['frame_mask'])[0].numpy()


class SeesClips(torch.nn.Module):
    """A tower in which each frame depends on the one before."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, frames, mask):
        return self.tower(frames + 0.1 * frames.roll(1, dims=1), mask)


@pytest.mark.parametrize('kind', ['frames alone', 'clips'])
def test_shared_frames_give_what_each_clip_gives_alone(kind, monkeypatch):
    model = build_model().eval()
    if kind == 'clips':
        model.backbone = SeesClips(model.backbone)
    calls = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: calls.append(
        inputs[0].shape[0] * inputs[0].shape[1]))
    monkeypatch.setattr('mmc2v.search.encoder.BATCH', 5)
    frames = images(40)
    clips = [np.arange(start, start + 8) for start in range(0, 33, 4)] + [
        np.linspace(0, 39, 8, dtype=int), np.array([3, 9, 30]), np.array([7] * 8)]
    encoder = ClipEncoder(model, clips, 8)
    order = np.random.default_rng(1).permutation(40)
    for part in np.array_split(order, 7):
        encoder.add(part.tolist(), frames[part])
    vectors = encoder.finish()
    encoded = sum(calls)
    assert vectors.dtype == np.float16
    for clip, vector in zip(clips, vectors):
        expected = alone(model, frames[clip], 8)
        np.testing.assert_allclose(vector, expected, atol=2.5e-4)  # of half precision
        assert np.abs(encoder_in_single(model, [clip], frames) - expected).max() < 1e-6
    if kind == 'frames alone':
        assert encoded == 40 + 2  # and two for what padding is
    assert encoder._held == {}


def encoder_in_single(model, clips, frames):
    """What the encoder has before it rounds."""
    encoder = ClipEncoder(model, clips, 8)
    kept = []
    flatten = model.head.flatten
    model.head.flatten = lambda embeddings: kept.append(flatten(embeddings)) or kept[-1]
    try:
        used = np.unique(np.concatenate(clips))
        encoder.add(used.tolist(), frames[used])
        encoder.finish()
    finally:
        del model.head.flatten
    return torch.cat(kept)[0].numpy()


def test_frames_are_forgotten_when_no_clip_needs_them():
    model = build_model().eval()
    clips = [np.arange(start, start + 8) for start in range(0, 900, 4)]
    encoder, most = ClipEncoder(model, clips, 8), 0
    for start in range(0, 904, 8):
        encoder.add(range(start, start + 8), images(8, start))
        most = max(most, len(encoder._held))
    assert most < 200  # of 904
    assert len(encoder.finish()) == len(clips)


def test_frames_that_never_came_are_missed():
    model = build_model().eval()
    encoder = ClipEncoder(model, [np.arange(4)], 4)
    encoder.add([0, 1], images(2))
    with pytest.raises(ValueError, match='never came'):
        encoder.finish()


def test_clips_of_a_file_are_read_as_evaluation_reads_them(tmp_path):
    """A short video is what encode_videos makes of it; windows of a long one are its own frames."""
    source = ClipFrames(pipeline(), 2.0, 1.0)
    assert source.num_frames == 4
    for name, length, count in (('short', 9, 1), ('long', 33, 6 + 1)):
        path = str(tmp_path / f'{name}.mp4')
        random_video(path, num_frames=length)
        clips, *parts, end = source.read(path)
        assert isinstance(clips, Clips)
        assert isinstance(end, Damage)
        assert len(clips.spans) == count
        numbers = [number for part in parts for number in part.numbers]
        assert sorted(numbers) == np.unique(np.concatenate(clips.frames)).tolist()
        reader = BACKENDS['pyav'](path)
        for part in parts:
            assert isinstance(part, Part)
            decoded = source._prepare(dict(imgs=reader.read(part.numbers)))['imgs']
            assert np.array_equal(part.images, np.stack(decoded))
        if name == 'long':  # at 5 fps, half a second apart from the start of each window
            assert clips.frames[1].tolist() == [5, 7, 10, 12]
            assert clips.spans[-1].tolist() == [0, reader.duration]


def test_videos_of_a_search_do_not_stay_in_memory():
    """Each is read once, and an index may be of thousands of hours."""
    steps = pipeline()
    opening = [step['type'].endswith('OpenVideo') for step in steps].index(True)
    steps[opening] = dict(steps[opening], keep_gb=1.0)
    assert ClipFrames(steps, 2.0, 1.0)._open.transforms[0].keep_gb == 0


def test_features_cannot_be_searched():
    with pytest.raises(ValueError, match='opens no videos'):
        ClipFrames([dict(type='mmc2v.LoadFeatures')], 10, 5)
    assert MODELS.build(model_config()).backbone.sees_frames_alone
