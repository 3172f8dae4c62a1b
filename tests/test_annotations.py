"""Names of videos, and JSON that is not as it should be."""
import json

import pytest

from mmc2v.annotations import match_names, parse_json, read_json_object, video_id


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
