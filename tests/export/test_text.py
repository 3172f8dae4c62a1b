"""Exported tokenizers read what CLIP's own reads."""
import random

import numpy as np
import open_clip
import pytest

from mmc2v.export.text import TextReader, write_clip_tokenizer

SENTENCES = [
    "a dog's ball isn't RED!!", '  spaces   and\ttabs\n', '&lt;b&gt; caf\u00e9 na\u00efve', '', ' ',
    '\u4f60\u597d \u4e16\u754c 123 4567', 'face \U0001f600\U0001f3fd \U0001f468\u200d\U0001f469',
    '\u0130stanbul I\u0307 \u00df \u1e9e', '<start_of_text> x <end_of_text> y', '!!!???...',
    "it's they'LL I'd we've", '\u00a0nb\u200bsp', 'a' * 500, '\u0301combining e\u0301',
    '\u00c3\u00a9ncoding broken \u00e2\u20ac\u0153quotes\u00e2\u20ac\x9d', 'x\x00y\x07',
    '<END_OF_TEXT>', '1.5m/s\u00b2 \u00bd \u2167', '\u0627\u0644\u0639\u0631\u0628\u064a\u0629',
    'don\u2019t \u201csmart\u201d', "\u017f \u212a'S '\u017f '\u017ft", 'word ' * 60]


@pytest.fixture(scope='module')
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp('tokenizer') / 'tokenizer.json'
    write_clip_tokenizer(open_clip.SimpleTokenizer(), path)
    return TextReader(path, 49406, 49407, 32)


def made_sentences(tokenizer, count):
    """Sentences of odd letters, and of the tokenizer's own words."""
    rng = random.Random(0)
    letters = [chr(code) for code in [*range(32, 127), *range(32, 127), *range(160, 0x250),
                                      *range(0x370, 0x400), *range(0x4e00, 0x4e40),
                                      *range(0x1f600, 0x1f620), 0x200b, 0x200d, 0x2028, 0x3000]]
    words = [tokenizer.decoder[number].replace('</w>', ' ') for number in range(256, 49000)]
    for few, pieces in ((60, letters), (20, words)):
        for _ in range(count):
            yield ''.join(rng.choices(pieces, k=rng.randrange(few)))


def test_ids_are_those_of_clip(reader):
    tokenizer = open_clip.SimpleTokenizer()
    for sentence in [*SENTENCES, *made_sentences(tokenizer, 1500)]:
        expected = tokenizer([sentence], context_length=32)[0].numpy()
        found = reader.read([sentence])[0]
        assert np.array_equal(expected, np.pad(found, (0, 32 - len(found)))), repr(sentence)


def test_sentences_of_different_lengths_are_filled_with_zeros(reader):
    ids = reader.read(['a dog', 'a dog runs over the grass'])
    assert ids.shape == (2, 8)
    assert ids[0].tolist() == [49406, 320, 1929, 49407, 0, 0, 0, 0]
    assert reader.read(['word ' * 60]).shape == (1, 32)


def test_what_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / 'tokenizer.json').write_text('{}')
    with pytest.raises(ValueError, match=r'tokenizer\.json.*is no tokenizer.*export the model'):
        TextReader(tmp_path / 'tokenizer.json', 1, 2, 32)
    with pytest.raises(ValueError, match='only the tokenizer of CLIP'):
        write_clip_tokenizer(open_clip.SimpleTokenizer(clean='canonicalize'), tmp_path / 'other')
