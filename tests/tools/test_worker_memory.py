"""A loader's worker is measured over its reads."""

from worker_memory import measure_worker

from ..video.made_videos import write


def test_a_worker_holds_the_same_after_many_reads(tmp_path):
    measured = measure_worker(write(tmp_path / 'a.mp4', num_frames=24), 40)
    assert list(measured) == [2, 10, 20, 40]
    memory, descriptors = zip(*measured.values())
    assert len(set(descriptors)) == 1
    assert 50 < min(memory) <= max(memory) < min(memory) + 100
