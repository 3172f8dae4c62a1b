"""The document of the interface, held against its routes and against what is answered."""
import json
from urllib.parse import quote

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from mmc2v.search.web.app import _PAGE

DOCUMENT = json.loads((_PAGE.parent / 'openapi.json').read_text())


def validator(schema):
    return Draft202012Validator(dict(schema, components=DOCUMENT['components']))


def check(path, answer, method='get'):
    """Compare an answer with what the document says of its status and type."""
    status, headers, body = answer
    said = DOCUMENT['paths'][path][method]['responses']
    found = said.get(str(status), said.get('default'))
    assert found is not None, (path, status)
    if '$ref' in found:
        found = DOCUMENT['components']['responses'][found['$ref'].rpartition('/')[2]]
    kinds = found.get('content', {})
    assert ('content-type' in headers) == bool(kinds), (path, status)
    if kinds:
        schema = kinds[headers['content-type']].get('schema')
        if schema:
            validator(schema).validate(body)


def test_the_document_has_the_routes_and_nothing_else(server):
    routes = {route.path: route.methods - {'HEAD'} for route in
              server.application.app._app.routes if route.path.startswith('/api/')}
    assert routes == {path: {method.upper() for method in item if method != 'parameters'}
                      for path, item in DOCUMENT['paths'].items()}
    Draft202012Validator.check_schema(dict(DOCUMENT['components']['schemas']['Answer']))
    status, _, served = server.ask('/api/openapi.json')
    assert (status, served) == (200, DOCUMENT)


def test_answers_are_as_the_document_says(server, library):
    check('/api/status', server.ask('/api/status'))
    hit = server.search(q='a dog')[0]
    for parameters in (dict(q='a dog'), dict(clip=hit['id'], limit=3), dict(q='a', folder='none'),
                       dict(q='a', offset=950, per_video=2, min_length='0.5', max_length=99)):
        answer = server.ask('/api/search', **parameters)
        assert answer[0] == 200, answer
        check('/api/search', answer)
    upload = server.ask('/api/uploads', 'POST', (library / 'videos' / 'old.avi').read_bytes())
    check('/api/uploads', upload, 'post')
    check('/api/search', server.ask('/api/search', upload=upload[2]['upload']))
    for path, number in (('/api/clips/{id}', hit['id']), ('/api/clips/{id}/thumbnail', hit['id']),
                         ('/api/clips/{id}/moment', hit['id']), ('/api/videos/{id}', hit['video'])):
        target = path.format(id=number)
        for headers in ({}, {'Range': 'bytes=0-4'}, {'Range': 'bytes=99999999-'}):
            check(path, server.ask(target, headers=headers))
        if path != '/api/clips/{id}':
            tag = server.ask(target)[1]['etag']
            check(path, server.ask(target, headers={'If-None-Match': tag}))
        check(path, server.ask(path.format(id='0' * 32 + '-0')))
        check(path, server.ask(f'{target}?x=1'))


@pytest.mark.parametrize(('parameters', 'says'), [
    ({}, 'one of q'), (dict(q='a', clip='b'), 'one of q'), (dict(q=' \n'), 'empty'),
    (dict(q='a', limit=51), 'from 1 to 50'), (dict(q='a', limit='1e1'), 'from 1 to 50'),
    (dict(q='a', offset=951), 'from 0 to 950'), (dict(q='a', offset='-1'), 'from 0 to 950'),
    (dict(q='a', per_video=0), 'from 1 to 1000'), (dict(q='a', min_length='nan'), 'of seconds'),
    (dict(q='a', other=1), 'known are q, clip'), (dict(q='a\0b'), 'UTF-8'),
    (dict(q='a\udcffb'.encode('utf-8', 'surrogateescape')), 'UTF-8'),
    (dict(upload='../x'), 'id of an uploaded')])
def test_wrong_parameters_are_named(server, parameters, says):
    answer = server.ask('/api/search', **parameters)
    assert answer[0] == 400
    assert says in answer[2]['error']['message']
    check('/api/search', answer)


def test_parameters_that_come_twice_are_refused(server):
    answer = server.ask(f'/api/search?q=a&q={quote("b c")}')
    assert (answer[0], answer[2]['error']['code']) == (400, 'parameter')


def test_what_does_not_fit_would_be_noticed():
    wrong = dict(query=dict(kind='text', text='a'), offset=0, more=False, seconds=1, results=[{}])
    with pytest.raises(jsonschema.ValidationError):
        validator(DOCUMENT['components']['schemas']['Answer']).validate(wrong)
