"""Text and JSON that is not as it should be."""
import json

import pytest

from mmc2v.strict_text import parse_json, read_json


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
    assert read_json(tmp_path / 'x.json') == {'a.mp4': ['é']}


@pytest.mark.parametrize(('text', 'message'), [
    ('[' * 200000, 'nested too deeply'), ('{"a":' * 200000, 'nested too deeply'),
    ('[' + '1' * 5000 + ']', 'limit')])
def test_json_that_python_cannot_hold_names_its_file(text, message):
    with pytest.raises(ValueError, match=rf"^'x\.json': .*{message}"):
        parse_json(text, 'x.json')


@pytest.mark.parametrize(('content', 'message'), [
    (b'[1]', r"x\.json', row 1: expected an object, found a list"),
    (b'{"a":\n"caf\xe9"}', r"x\.json', row 2: not UTF-8"), (b' \n', r"x\.json' is empty")])
def test_a_file_is_one_object_of_utf_8(tmp_path, content, message):
    (tmp_path / 'x.json').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / 'x.json')


def test_what_is_missing_comes_with_its_neighbours_and_advice(tmp_path):
    (tmp_path / 'other.json').touch()
    with pytest.raises(FileNotFoundError, match=r"x\.json' .* has \['other\.json'\]\. Get it$"):
        read_json(tmp_path / 'x.json', advice='Get it.')
