"""Files of the formats that people have are found, turned upright and cut at their own times."""
import shutil

import numpy as np
import pytest

from mmc2v.search.frames import ClipFrames

from ..tiny import pipeline
from ..video.made_videos import write
from .common import open_search, write_model

VP9 = dict(codec='libvpx-vp9', options={'deadline': 'realtime', 'cpu-used': '8'})
AV1 = dict(codec='libsvtav1', options={'preset': '12'})
HEVC = dict(codec='libx265', options={'preset': 'ultrafast', 'x265-params': 'log-level=none'})
UNEVEN = np.cumsum(np.random.default_rng(0).integers(15, 150, 60)).tolist()
FILES = {
    'a.mp4': {}, 'b.mkv': {}, 'c.mov': {}, 'd.ts': {}, 'e.3gp': {}, 'f.avi': dict(codec='mpeg4'),
    'g.webm': VP9, 'h.mkv': AV1, 'i.mp4': HEVC, 'j.mp4': AV1, 'k.mov': HEVC,
    'l.mp4': dict(codec='mpeg4'), 'm.mp4': dict(rotation=90), 'n.mov': dict(rotation=180),
    'o.mkv': dict(times=UNEVEN),
    'p.mp4': dict(times=UNEVEN, options={'bf': '0'},
                  container_options={'video_track_timescale': '1000'}),
    'q.webm': dict(VP9, times=UNEVEN),
}


def test_every_format_is_indexed_and_found(tmp_path):
    write_model(tmp_path)
    (tmp_path / 'videos').mkdir()
    for number, (name, options) in enumerate(FILES.items()):
        # another size each: contents are told by bytes
        write(tmp_path / 'videos' / name, height=64 + 2 * number, **options)
    with open_search(tmp_path) as search:
        report = search.add(tmp_path / 'videos', workers=2)
        assert report.unreadable == {}
        assert report.damaged == {}
        hits = search.search('anything', top=50)
        for name in ('a.mp4', 'g.webm'):  # a copy under another name is the same content
            shutil.copy(tmp_path / 'videos' / name, tmp_path / f'copy {name}')
            assert search.search(tmp_path / f'copy {name}', top=1)[0].paths != [
                str(tmp_path / 'videos' / name)]
    assert len(hits) == len(FILES)
    for hit in hits:
        expected = (UNEVEN[-1] - UNEVEN[0]) / 1000 if 'o.mkv' in hit.paths[0] else 2.4
        if not hit.paths[0].endswith(('p.mp4', 'q.webm', 'o.mkv')):
            assert hit.duration == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize('name', ['m.mp4', 'o.mkv', 'p.mp4'])
def test_windows_show_what_is_on_the_screen_then(name, tmp_path):
    """Against the frames of the file, chosen by a plain loop over their times."""
    from mmc2v.video import BACKENDS
    path = write(tmp_path / name, num_frames=60, **FILES[name])
    reader = BACKENDS['pyav'](path)
    source = ClipFrames(pipeline(num_frames=4), 1.0, 0.5)
    clips = source.clips_of(reader.times, reader.duration)
    assert len(clips.frames) > 4
    for (start, _), frames in zip(clips.spans[:-1], clips.frames):
        for number, frame in enumerate(frames):
            instant = start + number * 0.25
            shown = [index for index, time in enumerate(reader.times) if time <= instant + 1e-4]
            assert frame == shown[-1]
