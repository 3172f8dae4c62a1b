"""Undamaged and damaged videos of all containers and codecs, by the rules of `make fuzz`."""
import gc
import os
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
from fuzz_damage import DAMAGES, damaged_file
from fuzz_judge import original_frames
from fuzz_processes import fuzz
from fuzz_sources import NOT_MADE, make_sources

from mmc2v.datasets.transforms import BACKENDS, DecodeFrames, OpenVideo, VideoDecodeError
from mmc2v.video.opening import FORMATS

from .made_videos import write

GIB = 2 ** 30


def test_every_format_that_is_read_is_made_and_read_exactly(tmp_path):
    path = str(tmp_path / 'a.mp4')
    made = set()
    for source in make_sources():
        Path(path).write_bytes(source.content)
        with av.open(path) as container:
            made |= set(container.format.name.split(','))
        reader = BACKENDS['pyav'](path)
        frames = reader.read(range(len(reader.times)))
        expected = [image for _, image, _ in original_frames(source)]
        assert len(frames) == len(expected) >= 12, source
        assert all(map(np.array_equal, frames, expected)), (source.container, source.codec)
        reader.close()
    assert set(FORMATS) - made == set(NOT_MADE)


def test_two_thousand_damaged_files():
    result = fuzz(range(10 ** 6, 10 ** 6 + 2000), 2, 30, GIB)
    assert result['failures'] == []
    total = result['total']
    assert total['files'] == 2000
    assert total['strict: read'] > 500
    assert total['strict: refused'] > 500
    assert total['tolerant: reported'] > 300
    assert set(result['damage']) - {'could not be made'} == set(DAMAGES)
    assert set(result['container']) - {'?'} == {source.container for source in make_sources()}
    assert result['damage']['no video']['strict: read'] == 0


def test_the_last_frame_is_not_returned_again_for_packets_that_hold_none():
    """MPEG-4 of which bytes were taken out: the decoder returns a frame under the next time."""
    result = fuzz([4734], 1, 30, GIB)
    assert result['failures'] == []
    assert result['total']['files'] == 1


def test_a_block_that_is_not_whole_is_not_filled_with_what_was_in_memory():
    """Flash Screen Video; its decoder does so, another time with other pixels."""
    result = fuzz([33972], 1, 30, GIB)
    assert result['failures'] == []
    assert result['total']['strict: refused'] == 1


def test_what_mpeg4_decoders_let_pass_after_a_keyframe_is_no_fault_of_the_reader():
    """A wrong end of a picture: a decoder that begins there allows for it, and flags it later."""
    result = fuzz([70189], 1, 30, GIB)
    assert result['failures'] == []
    assert result['total']['strict: read'] == 1


def _hang(*_):
    time.sleep(60)


def _other_error(*_):
    raise KeyError


def _nameless(*_):
    raise ValueError('a file is damaged')


def _leave_open(_, results):
    os.open(results['filename'], os.O_RDONLY)
    raise VideoDecodeError(results['filename'])


@pytest.mark.parametrize(('fault', 'transform'), [
    ('crash', lambda *_: os.kill(os.getpid(), signal.SIGKILL)), ('hang', _hang),
    ('another error', _other_error), ('another error', _nameless), ('descriptors', _leave_open)])
def test_faults_are_found(fault, transform, monkeypatch, capfd):
    monkeypatch.setattr(OpenVideo, 'transform', transform)
    result = fuzz([7, 8], 2, 1, GIB)
    assert [failure['seed'] for failure in result['failures']] == [7, 8]
    assert all(failure['counts'][fault] for failure in result['failures'])
    assert 'only 7' in capfd.readouterr().out


def test_frames_of_another_time_and_in_silence_are_found(monkeypatch):
    decode = DecodeFrames.transform

    def reversed_frames(self, results):
        results = decode(self, results)
        results['imgs'] = list(results['imgs'])[::-1]
        results.pop('damage', None)
        return results
    monkeypatch.setattr(DecodeFrames, 'transform', reversed_frames)
    result = fuzz(range(100), 1, 30, GIB)
    assert result['total']['another time'] > 20
    assert result['total']['silent'] > 5


def test_memory_is_measured():
    result = fuzz([31], 1, 30, 2 ** 20)  # an image that says that it has 134 million pixels
    assert result['failures'][0]['counts']['memory']


def test_what_has_no_video_is_closed_at_once(tmp_path):
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    undecodable = tmp_path / 'b.mp4'
    content = Path(write(undecodable, num_frames=3)).read_bytes()
    undecodable.write_bytes(content.replace(b'avc1', b'none').replace(b'avcC', b'none'))
    gc.disable()
    try:
        before = len(os.listdir('/proc/self/fd'))
        for name, reason in ((path, 'no video stream'), (undecodable, 'no decoder')):
            with pytest.raises(VideoDecodeError, match=reason):
                BACKENDS['pyav'](str(name))
        assert len(os.listdir('/proc/self/fd')) == before
    finally:
        gc.enable()


def _frames_held():
    return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())


def test_frames_are_let_go_at_once(tmp_path):
    path = write(tmp_path / 'a.mp4', num_frames=12)
    gc.collect()
    gc.disable()  # which a worker does not do, but seldom collects
    try:
        before = _frames_held()
        reader = BACKENDS['pyav'](path)
        reader.read(range(12))
        reader.close()
        assert _frames_held() == before
    finally:
        gc.enable()


@pytest.mark.parametrize('tolerant', [False, True])
def test_a_frame_that_cannot_be_turned_is_refused(tolerant, tmp_path):
    path = Path(write(tmp_path / 'a.mp4', num_frames=12))
    content = path.read_bytes()
    place = content.index(b'tkhd') + 44
    path.write_bytes(content[:place] + bytes(36) + content[place + 36:])
    results = dict(OpenVideo(tolerant=tolerant)(dict(filename=str(path))), frame_inds=[0, 5])
    with pytest.raises(VideoDecodeError, match='display matrix'):
        DecodeFrames()(results)


def test_a_file_is_judged_alike_when_it_is_read_again(tmp_path):
    path, outcomes = tmp_path / 'a.mxf', []
    path.write_bytes(damaged_file(306, make_sources())[2])
    for _ in range(2):
        try:
            BACKENDS['pyav'](str(path)).read([0, 6, 13, 20, 27, 35])
            outcomes.append('read')
        except VideoDecodeError as error:
            outcomes.append(error.reason)
    assert outcomes[0] == outcomes[1]
