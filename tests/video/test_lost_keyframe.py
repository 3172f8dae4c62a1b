"""A file whose first keyframe was lost is refused or filled, not read as of another time."""
import av
import numpy as np
import pytest

from mmc2v.datasets.transforms import BACKENDS, VideoDecodeError

from .made_videos import sequential, write

KINDS = {
    'wmv2': ('wmv', dict(codec='wmv2', options={'g': '10'})),
    'flv1': ('flv', dict(codec='flv', options={'g': '10'})),
    'qtrle': ('mov', dict(codec='qtrle', pix_fmt='rgb24', options={'g': '10'})),
    'ffv1': ('mkv', dict(codec='ffv1', options={'g': '10'})),
    'vp8': ('webm', dict(codec='libvpx', options={'g': '10', 'deadline': 'realtime'})),
    'mpeg4': ('mp4', dict(codec='mpeg4', options={'g': '10'})),
    'mpeg2': ('ts', dict(codec='mpeg2video', options={'g': '10'})),
    'h264': ('mp4', dict(options={'g': '10', 'bf': '0'})),
}


def without(source, target, lost):
    """Copy the packets of a file but for some."""
    with av.open(source) as given, av.open(target, 'w') as left:
        stream = left.add_stream_from_template(given.streams.video[0])
        packets = (packet for packet in given.demux(video=0) if packet.dts is not None)
        for number, packet in enumerate(packets):
            if number not in lost:
                packet.stream = stream
                left.mux(packet)
    return target


@pytest.mark.parametrize('kind', KINDS)
def test_lost_first_keyframe(kind, tmp_path):
    extension, options = KINDS[kind]
    source = write(str(tmp_path / f'a.{extension}'), num_frames=30, **options)
    frames, _ = sequential(source)
    path = without(source, str(tmp_path / f'b.{extension}'), {0})
    with pytest.raises(VideoDecodeError):
        BACKENDS['pyav'](path).read([0])
    reader = BACKENDS['pyav'](path, 0.9)
    read = reader.read(list(range(len(reader.times))))
    assert reader.damage
    # which of the original it is: never one from before the first keyframe that is left
    numbers = [next(number for number, frame in enumerate(frames) if np.array_equal(frame, image))
               for image in read]
    assert numbers == sorted(numbers)
    assert numbers[0] == 10
    assert numbers[-1] == 29
