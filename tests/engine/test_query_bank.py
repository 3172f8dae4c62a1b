"""The bank of training captions is an annotation like any other."""
import pytest

from mmc2v.engine import QueryBankHook


@pytest.mark.parametrize(('content', 'message'), [
    ('{"a.mp4": ["x"], "./a.mp4": ["y"]}', "'a.mp4' and './a.mp4' are one video"),
    ('{}', 'holds no video'), ('{"a.mp4": [" "]}', "'a.mp4', caption 0: the caption is empty")])
def test_a_wrong_annotation_is_named(tmp_path, content, message):
    (tmp_path / 'train.json').write_text(content)
    with pytest.raises(ValueError, match=rf"train\.json'.*{message}"):
        QueryBankHook(str(tmp_path / 'train.json')).before_test_epoch(None)
