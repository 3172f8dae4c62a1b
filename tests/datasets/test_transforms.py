"""Decoding, resize and crop, tokens, packing."""
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from mmc2v.datasets.transforms import (
    DecodeFrames,
    OpenVideo,
    PackRetrievalInputs,
    ResizeCenterCrop,
    Tokenize,
    VideoDecodeError,
)

from ..tiny import random_video
from ..video.made_videos import write


def test_decoding_returns_the_written_frames(tmp_path):
    import av
    path = tmp_path / 'video.mp4'
    random_video(path, num_frames=20, fps=10)
    with av.open(str(path)) as container:
        written = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    results = OpenVideo().transform(dict(filename=str(path)))
    assert results['total_frames'] == 20
    assert results['duration'] == pytest.approx(2.0)
    np.testing.assert_allclose(results['frame_times'], np.arange(20) / 10, atol=1e-6)
    results['frame_inds'] = np.array([0, 7, 7, 19])
    results = DecodeFrames().transform(results)
    for image, index in zip(results['imgs'], [0, 7, 7, 19]):
        assert np.array_equal(image, written[index])
    assert results['img_shape'] == (48, 64)
    assert 'video_reader' not in results  # the file is closed


@pytest.mark.parametrize('kind', ['missing', 'empty', 'text', 'cut off', 'no frames'])
def test_bad_files_raise_with_path_and_reason(kind, tmp_path):
    path = tmp_path / 'video.mp4'
    if kind == 'empty':
        path.touch()
    elif kind == 'text':
        path.write_text('this is not a video\n' * 100)
    elif kind == 'cut off':  # without its index, which is written last
        random_video(path)
        path.write_bytes(path.read_bytes()[:20000])
    elif kind == 'no frames':
        import av
        with av.open(str(path), 'w') as container:
            stream = container.add_stream('aac', rate=44100)
            silence = np.zeros((1, 1024), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(silence, 'fltp', 'mono')
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with pytest.raises(VideoDecodeError) as caught:
        OpenVideo().transform(dict(filename=str(path)))
    assert caught.value.path == str(path)
    assert caught.value.reason
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('damage', ['zeroed middle', 'cut after its index'])
def test_damaged_frames_raise(damage, tmp_path):
    """The file opens, and frames are missing."""
    import av
    path = tmp_path / 'video.mp4'
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream('libx264', rate=5)
        stream.width = stream.height = 64
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] if damage.startswith('cut') else
                     content[:half] + bytes(len(content) // 4) + content[half * 3 // 2:])
    with pytest.raises(VideoDecodeError, match='video.mp4'):
        DecodeFrames().transform(dict(OpenVideo().transform(dict(filename=str(path))),
                                      frame_inds=np.arange(40)))


def test_decode_error_survives_a_worker():
    import pickle
    error = pickle.loads(pickle.dumps(VideoDecodeError('a.mp4', 'no frames')))
    assert (error.path, error.reason) == ('a.mp4', 'no frames')
    assert 'a.mp4 cannot be decoded: no frames' in str(VideoDecodeError('a.mp4', 'no frames'))


def test_avi_without_timestamps_has_a_constant_rate(tmp_path):
    """Packed B-frames carry none, and decord then returns garbage."""
    from mmc2v.video import BACKENDS

    class Reader:
        def get_frame_timestamp(self, indices):
            return np.array([[-3.7e17, -3.7e17], [0.04, 0.08], [0.08, 0.12], [0.12, 0.16]],
                            dtype=np.float32)[list(indices)]

        def get_avg_fps(self):
            return 25.0

        def __len__(self):
            return 4
    import decord
    original, decord.VideoReader = decord.VideoReader, lambda *args, **kwargs: Reader()
    try:
        reader = BACKENDS['decord'](write(tmp_path / 'x.avi', num_frames=4))
    finally:
        decord.VideoReader = original
    np.testing.assert_allclose(reader.times, [0, 0.04, 0.08, 0.12])
    assert reader.duration == pytest.approx(0.16)


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="'opencv' is none of"):
        OpenVideo(backend='opencv')


@pytest.mark.parametrize('interpolation', ['bicubic', 'bilinear'])
@pytest.mark.parametrize('size', [(240, 427), (64, 64), (64, 301)])
def test_squeezing_is_torchvisions_on_pil_but_for_rounding(size, interpolation):
    from torchvision.transforms import InterpolationMode, Resize
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Resize((64, 64), InterpolationMode(interpolation))(Image.fromarray(image))
    step = ResizeCenterCrop(64, interpolation, keep_ratio=False)
    found = step.transform(dict(imgs=[image]))['imgs'][0].astype(int)
    assert np.abs(found - np.asarray(expected)).max() <= 2
    if size != (64, 64):
        cropped = ResizeCenterCrop(64, interpolation).transform(dict(imgs=[image]))['imgs'][0]
        assert np.abs(found - cropped).mean() > 10
    with pytest.raises(ValueError, match="'nearest'"):
        ResizeCenterCrop(64, 'nearest')


@pytest.mark.parametrize('size', [(240, 427), (427, 240), (100, 100), (64, 301)])
def test_resize_and_crop_is_torchvisions_on_pil_but_for_rounding(size):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Compose([Resize(64, InterpolationMode.BICUBIC), CenterCrop(64)])(
        Image.fromarray(image))
    found = ResizeCenterCrop(64).transform(dict(imgs=[image]))
    difference = np.abs(found['imgs'][0].astype(int) - np.asarray(expected))
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01
    assert found['img_shape'] == (64, 64)


def test_tokens_are_open_clips_and_keep_the_end_when_cut():
    captions = ['A  Dog runs!', 'word ' * 60]
    tokens = Tokenize(max_words=32).transform(dict(captions=captions))['tokens']
    assert tokens.shape == (2, 32)
    full = open_clip.tokenize(captions)
    assert torch.equal(tokens[0], full[0, :32])
    assert tokens[0, :2].tolist() == [49406, full[0, 1]]
    assert tokens[1, -1] == 49407  # the end token stays
    assert (tokens[1] == 49407).sum() == 1
    assert torch.equal(tokens[1, :31], full[1, :31])


def test_tokenizer_of_an_unknown_architecture_is_not_clips():
    with pytest.raises(ValueError, match="does not know the architecture 'PE-Core-B-17'"):
        Tokenize(arch='PE-Core-B-17')


def test_tokenizer_of_an_architecture():
    captions = ['a dog']
    named, default = (Tokenize(arch=arch).transform(dict(captions=captions))['tokens']
                      for arch in ('ViT-B-32-quickgelu', None))
    assert torch.equal(named, default)
    with pytest.raises(ValueError, match='max_words=2'):
        Tokenize(max_words=2)


def test_packing_pads_and_masks():
    images = [np.full((8, 8, 3), i + 1, dtype=np.uint8) for i in range(3)]
    packed = PackRetrievalInputs().transform(dict(
        imgs=images, clip_len=5, tokens=torch.ones(2, 7, dtype=torch.long), video_id='a.mp4',
        captions=['x', 'y'], unknown='left out'))
    inputs = packed['inputs']
    assert inputs['frames'].shape == (5, 3, 8, 8)
    assert inputs['frames'].dtype == torch.uint8
    assert inputs['frames'][:, 0, 0, 0].tolist() == [1, 2, 3, 0, 0]
    assert inputs['frame_mask'].tolist() == [True, True, True, False, False]
    assert packed['data_samples'].captions == ['x', 'y']
    assert 'unknown' not in packed['data_samples']
    with pytest.raises(ValueError, match='3 frames for a clip of 2'):
        PackRetrievalInputs().transform(dict(imgs=images, clip_len=2))
