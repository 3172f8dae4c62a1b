"""Which file is a listed video's."""
import os

import pytest
from preparation.videos import find_videos


@pytest.fixture
def folder_of(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b'')
        return tmp_path
    return make


# as in DiDeMo's lists
LISTED = ['a.mov', 'b.', 'c.3g2', 'd.mts', 'e.m2ts', 'f.qt', 'g.3gpp', 'h.asf', 'i.divx', 'j.null',
          'k_0.5.AVI']


def test_files_count_under_the_very_names_of_a_list(folder_of):
    folder = folder_of(*LISTED[:5], *(f'sub/{name}' for name in LISTED[5:]), 'l.null', 'notes.txt')
    found = find_videos(folder, [*LISTED, 'm.null', 'notes'])
    assert found == {name: name if name in LISTED[:5] else f'sub/{name}' for name in LISTED}


@pytest.mark.parametrize('copy', ['{stem}.mp4', '{name}.mp4', '{stem}.WEBM', 'x/{name}.avi.mkv'])
def test_converted_copies_count(copy, folder_of):
    stems = [name[:name.rindex('.')] for name in LISTED]
    files = [copy.format(stem=stem, name=name) for stem, name in zip(stems, LISTED)]
    assert find_videos(folder_of(*files), LISTED) == dict(zip(LISTED, files))


def test_the_closest_match_wins_and_equally_close_ones_are_refused(folder_of):
    folder = folder_of('a.mov', 'a.mp4', 'a.mov.mp4', 'b.mov.mp4', 'b.mp4', 'sub/c.mov', 'c.mp4',
                       'd.mp4', 'sub/d.avi', 'e', 'e.mp4')
    assert find_videos(folder, ['a.mov', 'b.mov', 'c.mov', 'e']) == {
        'a.mov': 'a.mov', 'b.mov': 'b.mov.mp4', 'c.mov': 'sub/c.mov', 'e': 'e'}
    with pytest.raises(ValueError, match=r"2 files of video 'd'.*d\.mp4.*sub/d\.avi"):
        find_videos(folder, ['d'])
    with pytest.raises(ValueError, match=r"2 files of video 'd\.mov'"):
        find_videos(folder, ['d.mov'])
    assert find_videos(folder, ['d.mp4']) == {'d.mp4': 'd.mp4'}


def test_case_matters_in_ids_alone(folder_of):
    folder = folder_of('aB.MP4', 'ab.mp4')
    assert find_videos(folder, ['aB', 'ab.mov', 'AB']) == {'aB': 'aB.MP4', 'ab.mov': 'ab.mp4'}


def test_names_with_a_folder_are_of_that_folder(folder_of):
    folder = folder_of('cats/1.mp4', 'dogs/1.mp4', 'cats/2.mp4')
    assert find_videos(folder, ['cats/1', 'dogs/1.mov', 'dogs/2.mp4', '2']) == {
        'cats/1': 'cats/1.mp4', 'dogs/1.mov': 'dogs/1.mp4', '2': 'cats/2.mp4'}


def test_one_file_of_two_listed_videos_is_refused(folder_of):
    with pytest.raises(ValueError, match=r"'a' and 'a\.avi' are listed as two videos.*'a\.mp4'"):
        find_videos(folder_of('a.mp4'), ['a', 'a.avi'])


def test_links_to_folders_are_followed_once(folder_of, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    (elsewhere / 'b.mp4').write_bytes(b'')
    folder = folder_of('a.mp4', 'sub/c.mp4')
    (folder / 'link').symlink_to(elsewhere)
    (folder / 'sub' / 'loop').symlink_to(folder)
    (folder / 'again').symlink_to(folder / 'sub')
    (folder / 'broken.mp4').symlink_to(folder / 'nothing.mp4')
    found = find_videos(folder, ['a', 'b', 'c', 'broken'])
    assert set(found) == {'a', 'b', 'c'}
    assert found['b'] == 'link/b.mp4'
    assert all((folder / path).is_file() for path in found.values())


def test_a_folder_that_cannot_be_read_is_named(folder_of, monkeypatch):
    """What is in it would seem to be missing."""
    folder, scandir = folder_of('a.mp4', 'closed/b.mp4'), os.scandir

    def refusing(path):
        if os.path.basename(path) == 'closed':
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)
    monkeypatch.setattr(os, 'scandir', refusing)
    with pytest.raises(PermissionError, match='closed'):
        find_videos(folder, ['a.mp4', 'b.mp4'])
