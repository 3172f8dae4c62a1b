"""Names of videos, and JSON that is not as it should be."""
import json

import pytest

from mmc2v.annotations import (
    match_names,
    normalize_name,
    parse_json,
    read_json_object,
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


def test_a_fault_in_one_huge_line_is_found():
    text = json.dumps({f'video{i}': ['a caption'] for i in range(1000)})
    position = text.index('"video500"')
    broken = text[:position] + text[position + 1:]
    with pytest.raises(ValueError, match=rf"'x\.json', row 1, column {position + 1}: not JSON.*near"
                       r".*video500"):
        parse_json(broken, 'x.json')
    with pytest.raises(ValueError, match=r"'x\.jsonl', row 7, column 4: not JSON"):
        parse_json('{} {}', 'x.jsonl', first_row=7)
    with pytest.raises(ValueError, match="the key 'a' appears twice"):
        parse_json('[{"a": 1, "b": 2, "a": 3}]', 'x.json')


def test_a_byte_order_mark_is_no_part_of_an_annotation(tmp_path):
    (tmp_path / 'x.json').write_bytes(b'\xef\xbb\xbf{"a.mp4": ["\xc3\xa9"]}')
    assert read_json_object(str(tmp_path / 'x.json')) == {'a.mp4': ['é']}


@pytest.mark.parametrize(('text', 'message'), [
    ('[' * 200000, 'nested too deeply'), ('{"a":' * 200000, 'nested too deeply'),
    ('[' + '1' * 5000 + ']', 'limit')])
def test_json_that_python_cannot_hold_names_its_file(text, message):
    with pytest.raises(ValueError, match=rf"^'x\.json': .*{message}"):
        parse_json(text, 'x.json')


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
