"""Names of videos."""
import pytest

from mmc2v.annotations import (
    match_names,
    normalize_name,
    read_video_entries,
    video_id,
)


@pytest.mark.parametrize(('name', 'expected'), [
    ('video0.mp4', 'video0'), ('a/b/video0.MKV', 'video0'), ('a_0.5', 'a_0.5'),
    ('1_A_00.01-00.02.avi', '1_A_00.01-00.02'), ('x.3g2', 'x'), ('x.M2TS', 'x'), ('x.null', 'x'),
    ('x.', 'x'), ('.mp4', '.mp4'), ('cats\\1.mp4', '1')])
def test_only_extensions_of_videos_are_taken_off(name, expected):
    assert video_id(name) == expected


def test_folders_tell_videos_apart_where_both_names_have_one():
    others = ['cats/1.mp4', 'dogs/2.mp4', '3.avi', 'cats/4.mp4', '4.mp4']
    found = match_names(['dogs/1.mp4', 'cats/1.webm', '2', 'birds/3.mp4', '4', '5.mp4'], others)
    assert found == {'cats/1.webm': 'cats/1.mp4', '2': 'dogs/2.mp4', 'birds/3.mp4': '3.avi',
                     '4': '4.mp4'}


@pytest.mark.parametrize(('name', 'expected'), [
    ('a.mp4', 'a.mp4'), ('./a.mp4', 'a.mp4'), ('sub/../a.mp4', 'a.mp4'), ('b//a.mp4', 'b/a.mp4'),
    ('cats\\1.mp4', 'cats/1.mp4'), ('..a.mp4', '..a.mp4'), ('...', '...'),
    ('v\udce9.mp4', 'v\udce9.mp4')])  # a file whose name is not UTF-8, as Python reads it
def test_a_name_has_one_form(name, expected):
    assert normalize_name('x', name) == expected


@pytest.mark.parametrize(('name', 'message'), [
    ('../a.mp4', 'outside the folder'), ('b/../../a.mp4', 'outside the folder'),
    ('..\\a.mp4', 'outside the folder'), ('..', 'outside the folder'), ('/a.mp4', 'absolute'),
    ('//a.mp4', 'absolute'), ('', 'expected the name'), ('b/..', 'expected the name'),
    ('a\0.mp4', 'expected the name'), ('x' * 5000, 'of 5000 characters.*at most 255 bytes'),
    ('é' * 130, 'at most 255'), ('b/' * 2500 + 'a', 'a path 4096'), ('\ud800.mp4', 'not Unicode')])
def test_names_that_are_no_files_of_the_folder_are_refused(name, message):
    with pytest.raises(ValueError, match=rf'^all\.json: .*{message}') as error:
        normalize_name('all.json', name)
    assert len(str(error.value)) < 300
    str(error.value).encode()


def test_two_names_of_one_video_are_refused(tmp_path):
    path = tmp_path / 'all.json'
    path.write_text('{"./b/a.mp4": ["x"], "a.webm": ["y"], "a.mp4": ["z"]}')
    assert read_video_entries(str(path)) == {'b/a.mp4': ['x'], 'a.webm': ['y'], 'a.mp4': ['z']}
    path.write_text('{"a.mp4": ["x"], "b/../a.mp4": ["y"]}')
    with pytest.raises(ValueError, match=r"all\.json': 'a\.mp4' and 'b/\.\./a\.mp4' are one video"):
        read_video_entries(str(path))
