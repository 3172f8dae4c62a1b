"""What is asked of a Milvus, without one."""
import pytest

from mmc2v.search import milvus


class Recorder:
    """A connection to a server that answers like an empty index, and keeps what it was asked."""

    def __init__(self, address):
        self.place, self.asked = PLACE, []

    def call(self, method, *args, **kwargs):
        self.asked.append((method, args, kwargs))
        if method == 'describe_collection':
            return dict(properties={'mmc2v.format': '1', 'mmc2v.width': '4'})
        if method == 'query':
            return [{'count(*)': 0}] if kwargs['output_fields'] == ['count(*)'] else []
        return True


PLACE = milvus.Connection('http://127.0.0.1:19530/some').place


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(milvus, 'Connection', Recorder)
    return milvus.MilvusStore('http://127.0.0.1:19530/some')


@pytest.mark.parametrize('read', [
    lambda store: store.files(), lambda store: list(store.lost()), lambda store: store.finish()])
def test_what_has_to_be_newest_waits_for_it(store, read):
    """The client drops the consistency of queries in order, so another one goes before."""
    store._connection.asked.clear()
    read(store)
    asked = [(args[0], kwargs) for method, args, kwargs in store._connection.asked
             if method == 'query']
    pages = [number for number, (_, kwargs) in enumerate(asked) if 'iterator' in kwargs]
    assert pages
    name, kwargs = asked[pages[0] - 1] if pages[0] else ('', {})
    assert name == 'some_files'
    assert kwargs.get('consistency_level') == 'Strong'
    assert asked[pages[0]][0] == name
