"""The page in a real browser, as people use it."""
import base64
import re

import numpy as np
import pytest

from mmc2v.search.progress_file import SharedProgress

from ..common import open_search
from . import browser as browsers
from .common import (
    COLOURS,
    Access,
    Server,
    index,
    serving,
    wait_for,
    write_colours,
    write_library,
)

# Milliseconds that something on the page may take on a machine with other work.
_PATIENCE = 60_000


@pytest.fixture(scope='module')
def browser():
    with browsers.started() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Open a page of a server; whatever is wrong with it on its own fails the test."""
    opened = []

    def visit(server, path='/', allowed=None, **options):
        context = browser.new_context(**{'viewport': dict(width=1200, height=800), **options})
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        watch = browsers.Watch(page, server)
        opened.append((context, watch, allowed))
        page.goto(server.url + path)
        until(page, "document.getElementById('about').textContent "
                               "|| !document.getElementById('notice').hidden")
        return page
    yield visit
    for context, watch, allowed in opened:
        context.close()
        assert [fault for fault in watch.faults
                if not (allowed and re.search(allowed, fault))] == []


def until(page, expression, arg=None):
    """Wait until something is so; the page's policy forbids playwright's own way, which evals."""
    wait_for(lambda: page.evaluate(expression, arg))


def ask(page, text):
    """Type a sentence, and wait for the moments."""
    page.fill('#q', text)
    until(page,
        "text => new URLSearchParams(location.search).get('q') === text "
        "&& !document.getElementById('results').hasAttribute('aria-busy') "
        "&& document.querySelectorAll('.play').length", arg=text)


def scroll(page):
    """Scroll until there is no more."""
    until(page, """() => {
      scrollTo(0, document.body.scrollHeight);
      return document.getElementById('more').hidden;
    }""")


def ids(page):
    return page.eval_on_selector_all('.play', 'all => all.map((one) => one.dataset.id)')


def shown(page, selector):
    return page.locator(selector).inner_text()


def waits(page, selector, text):
    """Wait until an element is seen that has a text."""
    page.locator(selector, has_text=re.compile(text)).wait_for()


def play(page, name, number=0):
    """Click on a moment of a video; return where it starts and how long it lasts."""
    cards = page.locator('.card', has_text=name)
    card = min((cards.nth(place) for place in range(cards.count())),
               key=lambda card: abs(times(card)[0] - number))
    start, end = times(card)
    card.locator('.play').click()
    until(page, 'document.getElementById("video").readyState >= 3')
    return start, end


def times(card):
    return [60 * float(minutes) + float(seconds) for minutes, seconds in
            re.findall(r'(\d+):([\d.]+)', card.locator('.time').inner_text())]


def value(page, expression):
    return page.evaluate(f'document.getElementById("video").{expression}')


def shows(page, seconds, first):
    """Whether the video shows the colour of a second, or of one beside."""
    near = [COLOURS[(first + int(seconds) + by) % len(COLOURS)] for by in (0, 1)]
    colour = page.evaluate(browsers.COLOUR)
    return min(np.abs(np.subtract(colour, other)).max() for other in near) < 40


def test_typing_finds_moments_in_their_order(server, visit):
    page = visit(server)
    assert '5 videos' in shown(page, '#about')
    assert page.evaluate('document.activeElement.id') == 'q'
    page.keyboard.type('a red ring', delay=10)
    until(page, "document.querySelectorAll('.play').length === 12")
    found = server.search(q='a red ring', limit=50)
    assert ids(page)[:12] == [hit['id'] for hit in found[:12]]
    card = page.locator('.card').first
    assert card.locator('.name').inner_text() == found[0]['name']
    assert card.locator('.where').inner_text() == found[0]['folder']
    assert card.locator('.number').inner_text() == f'{found[0]["stands_out"]:+.1f}\u03c3'.replace(
        '-', '\u2212')
    until(page, """[...document.querySelectorAll(".play img")].slice(0, 4).every(
                   (one) => one.naturalWidth)""")
    scroll(page)
    assert ids(page) == [hit['id'] for hit in found]
    assert page.locator('#more').is_hidden()
    assert shown(page, '#count') == f'{len(found)} moments'
    assert page.title() == 'a red ring \u2013 Find the moment'


def test_a_moment_plays_from_its_second(server, visit):
    page = visit(server, '/?q=a+red+ring')
    page.locator('.play').first.wait_for()
    start, _ = play(page, 'plain.mp4', 5)
    assert start > 1
    assert '/api/videos/' in value(page, 'currentSrc')
    assert start - 0.05 <= value(page, 'currentTime') < start + 1.5
    assert shows(page, value(page, 'currentTime'), 0)
    until(page, f'document.getElementById("video").currentTime > {start + 0.5}')
    assert value(page, 'duration') == pytest.approx(8, abs=0.1)  # of the whole file
    assert shown(page, '#player-name') == 'plain.mp4'
    assert page.locator('#player-wait').is_hidden()
    assert shown(page, '#player-note') == ''


@pytest.mark.parametrize(('name', 'first'), [('hevc.mp4', 2), ('old.avi', 6), ('stream.mkv', 3)])
def test_what_browsers_cannot_play_is_converted_and_advances(server, visit, name, first):
    page = visit(server, '/?q=a+red+ring')
    page.locator('.card', has_text=name).first.wait_for()
    scroll(page)
    start, end = play(page, name, 1)
    assert '/moment' in value(page, 'currentSrc')
    until(page, 'document.getElementById("video").currentTime > 0.5')
    assert value(page, 'duration') == pytest.approx(end - start, abs=0.15)
    assert shows(page, start + value(page, 'currentTime'), first)
    assert 'converted' in shown(page, '#player-note')


def test_more_like_this_and_back(server, visit):
    page = visit(server)
    ask(page, 'a red ring')
    before = ids(page)
    card = page.locator('.card').first
    name = card.locator('.name').inner_text()
    card.locator('.like').click()
    page.locator('#origin').wait_for()
    assert shown(page, '#origin-name') == name
    until(page, "location.search.includes('clip=')")
    until(page, "before => document.querySelector('.play').dataset.id !== before",
                           arg=before[0])
    like = [hit['id'] for hit in server.search(clip=before[0], limit=12)]
    assert ids(page)[:12] == like
    assert before[0] not in like
    page.go_back()
    until(page, "before => document.querySelector('.play').dataset.id === before",
                           arg=before[0])
    assert ids(page) == before
    assert page.input_value('#q') == 'a red ring'
    assert page.locator('#origin').is_hidden()
    page.go_back()
    until(page, "document.body.classList.contains('start')")
    assert ids(page) == []


def test_a_video_that_is_dropped_is_the_question(server, visit, library):
    page = visit(server)
    content = base64.b64encode((library / 'videos' / 'old.avi').read_bytes()).decode()
    page.evaluate("""content => {
      const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], 'my film <b>.avi'));
      for (const kind of ['dragenter', 'dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true,
          cancelable: true }));
      }
    }""", content)
    page.locator('.card').first.wait_for()
    assert shown(page, '#origin-name') == 'my film <b>.avi'
    assert page.locator('.card .name').first.inner_text() == 'old.avi'
    assert page.locator('#drop').is_hidden()
    first = page.url
    page.set_input_files('#file', library / 'videos' / 'holidays' / 'sea.mp4')
    until(page, 'first => location.href !== first', arg=first)
    page.locator('#origin-name', has_text='sea.mp4').wait_for()
    page.go_back()
    page.locator('#origin-name', has_text='my film').wait_for()


def test_what_is_no_video_is_said(server, visit, tmp_path):
    page = visit(server, allowed='422')
    (tmp_path / 'letter.mp4').write_text('Dear reader')
    page.set_input_files('#file', tmp_path / 'letter.mp4')
    waits(page, '#notice-title', 'cannot be searched by')
    assert 'cannot be read' in shown(page, '#notice-text')


def test_links_can_be_shared(server, visit):
    hits = server.search(q='a red ring', folder='videos/holidays', per_video=1)
    page = visit(server, f'/?q=a+red+ring&folder=videos%2Fholidays&one=1&play={hits[1]["id"]}')
    page.locator('#player').wait_for()
    waits(page, '#player-name', hits[1]['name'])
    assert page.locator('#player-next').is_enabled() == (len(hits) > 2)
    assert ids(page) == [hit['id'] for hit in hits]
    assert page.input_value('#folder') == 'videos/holidays'
    assert page.is_checked('#one')
    page.click('#player-close')
    page.locator('#player').wait_for(state='hidden')
    assert 'play=' not in page.url
    page.select_option('#length', '60-600')
    waits(page, '#notice-title', 'No moment here')
    page.click('#notice-action')
    until(page, "document.querySelectorAll('.play').length > 2")
    assert page.locator('#notice').is_hidden()
    assert page.input_value('#folder') == page.input_value('#length') == ''


def test_keys_do_everything(server, visit):
    page = visit(server, '/?q=a+red+ring')
    until(page, "document.querySelectorAll('.play').length >= 12")
    focused = "document.activeElement.dataset.id"
    order = ids(page)
    page.keyboard.press('/')
    assert page.evaluate('document.activeElement.id') == 'q'
    assert page.input_value('#q') == 'a red ring'
    page.keyboard.press('ArrowDown')
    assert page.evaluate(focused) == order[0]
    page.keyboard.press('ArrowRight')
    assert page.evaluate(focused) == order[1]
    page.keyboard.press('ArrowDown')
    columns = order.index(page.evaluate(focused)) - 1
    assert columns == len(page.evaluate(
        "getComputedStyle(document.getElementById('results')).gridTemplateColumns").split())
    page.keyboard.press('ArrowUp')
    page.keyboard.press('Enter')
    page.locator('#player').wait_for()
    until(page, '!document.getElementById("video").paused')
    page.keyboard.press('Space')
    until(page, 'document.getElementById("video").paused')
    page.keyboard.press('Space')
    until(page, '!document.getElementById("video").paused '
                           '|| document.getElementById("video").ended')
    page.keyboard.press('ArrowDown')
    until(page, "id => location.search.includes('play=' + id)", arg=order[2])
    page.keyboard.press('Escape')
    page.locator('#player').wait_for(state='hidden')
    assert page.evaluate(focused) == order[2]
    assert 'play=' not in page.url
    page.go_forward()
    page.locator('#player').wait_for()
    page.go_back()
    page.locator('#player').wait_for(state='hidden')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_can_be_read_and_used_without_seeing(server, visit, scheme):
    page = visit(server, color_scheme=scheme)
    for step in ('start', 'moments', 'player', 'notice'):
        if step == 'moments':
            ask(page, 'a red ring')
        elif step == 'player':
            play(page, 'hevc.mp4')
        elif step == 'notice':
            page.keyboard.press('Escape')
            page.select_option('#length', '3600-')
            waits(page, '#notice-title', 'No moment here')
        contrast, text = page.evaluate(browsers.LEAST_CONTRAST)
        assert contrast >= 4.5, (step, text)
        assert page.evaluate(browsers.NAMELESS) == []
    paper = page.evaluate('getComputedStyle(document.body).backgroundColor')
    assert (int(re.search(r'\d+', paper)[0]) > 128) == (scheme == 'light')
    assert page.locator('html').get_attribute('lang') == 'en'
    assert page.get_by_role('search').count() == 1
    assert page.get_by_role('searchbox', name='What to look for').count() == 1
    assert page.get_by_role('list', name='Moments').count() == 1
    page.keyboard.press('/')
    outline = page.evaluate("getComputedStyle(document.querySelector('.field')).boxShadow")
    assert outline != 'none'


def test_a_narrow_screen_is_enough(server, visit):
    page = visit(server, viewport=dict(width=360, height=640))
    wide = 'document.documentElement.scrollWidth'
    assert page.evaluate(wide) <= 360
    ask(page, 'a red ring with a name that is long')
    assert page.evaluate(wide) <= 360
    boxes = page.eval_on_selector_all(
        'button, select, input', """all => all.filter((one) => one.checkVisibility()).map(
          (one) => one.getBoundingClientRect()).map((box) => [box.left, box.right])""")
    assert min(left for left, _ in boxes) >= 0
    assert max(right for _, right in boxes) <= 360
    play(page, 'plain.mp4')
    box = page.locator('#player').bounding_box()
    assert box['x'] >= 0
    assert box['x'] + box['width'] <= 360
    assert page.locator('#player-next').bounding_box()['y'] < 640


def test_names_are_texts_whatever_they_say(tmp_path, visit):
    write_library(tmp_path)
    evil = "<img src=x onerror=window.hit=1>'\"&amp;{{1}}.mp4"
    folder = tmp_path / 'videos' / '<svg onload=window.hit=1>'
    folder.mkdir()
    write_colours(folder / evil, first=1, seconds=4)
    write_colours(folder / 'invoice\u202egpj.mp4', first=5, seconds=4)
    (folder / 'a\nb\udcff.mp4').write_bytes((folder / evil).read_bytes() + b'\0')
    index(tmp_path)
    with serving(tmp_path) as server:
        page = visit(server, '/?q=a+red+ring&one=1')
        until(page, "document.querySelectorAll('.play').length === 8")
        names = page.eval_on_selector_all('.name bdi', 'all => all.map((one) => one.textContent)')
        assert {evil, 'invoice\\u202egpj.mp4', 'a\\nb\\udcff.mp4'} < set(names)
        assert page.locator('.where bdi', has_text='<svg onload=window.hit=1>').count() == 3
        page.locator('.card', has_text='onerror').locator('.play').click()
        assert shown(page, '#player-name') == evil
        page.keyboard.press('Escape')
        page.locator('.card', has_text='onerror').locator('.like').click()
        page.locator('#origin-name', has_text='onerror').wait_for()
        page.select_option('#folder', 'videos/<svg onload=window.hit=1>')
        until(page, "document.querySelectorAll('.play').length > 0")
        assert page.evaluate('window.hit === undefined')
        assert page.locator('main img[src="x"]').count() == 0


def test_a_file_that_has_moved_is_said(tmp_path, visit):
    videos = write_library(tmp_path)
    index(tmp_path)
    (videos / 'plain.mp4').rename(videos / 'away.mp4')
    with serving(tmp_path) as server:
        page = visit(server, '/?q=a+red+ring&one=1', allowed='410')
        waits(page, '.card', 'Moved or deleted since')
        page.locator('.card', has_text='plain.mp4').locator('.play').click()
        waits(page, '#player-wait', 'no longer where it was.*index its folder again')


def test_a_server_that_goes_and_comes_back_is_noticed(library, visit):
    with serving(library) as server:
        page = visit(server, allowed='ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONN')
        port = server.port
    page.fill('#q', 'a red ring')
    waits(page, '#notice-title', 'does not answer')
    assert 'serve --index my.index' in shown(page, '#notice-command')
    with serving(library, port=port):
        page.locator('.card').first.wait_for()  # the question is asked again by itself
        page.locator('#notice').wait_for(state='hidden')


def test_loading_emptiness_and_progress_are_said(tmp_path, visit):
    videos = write_library(tmp_path)
    (tmp_path / 'nothing').mkdir()
    index(tmp_path, tmp_path / 'nothing')
    search = open_search(tmp_path)
    with search._mutex, Server(search) as server:  # its thread waits for the mutex
        page = visit(server, '/?q=a+red+ring', allowed='503')
        waits(page, '#notice-title', 'model is being loaded')
    with serving(tmp_path, until='empty') as server:
        page = visit(server, '/?q=a+red+ring')
        waits(page, '#notice-title', 'Nothing is indexed yet')
        assert 'index ~/Videos --index my.index' in shown(page, '#notice-command')
        with SharedProgress(str(tmp_path / 'my.index')) as progress:
            class Report:
                seconds_of_video = 60.0
            progress('a.mp4', 42, Report, 100)
            waits(page, '#progress-text', 'Indexing: 42 %, 1 file so far')
        index(tmp_path, videos)
        page.locator('.card').first.wait_for()
        page.locator('#notice').wait_for(state='hidden')
        page.locator('#progress').wait_for(state='hidden')


def test_the_printed_link_lets_in(library, visit):
    token = 'a-secret-of-24-letters..'
    access = Access(token=token)
    with serving(library, access) as server:
        page = visit(server, f'/?q=a+red+ring&token={token}')
        page.locator('.card').first.wait_for()
        assert token not in page.url
        until(page, "document.querySelector('.play img').naturalWidth > 0")
        stranger = page.context.browser.new_context()
        response = stranger.request.get(server.url)
        assert response.status == 401
        stranger.close()


def refusing(page, pattern, code, message, times=10 ** 6):
    """Let the server refuse requests some times; return the list that they are noted in."""
    noted = []

    def answer(route):
        noted.append(route.request.url)
        if len(noted) > times:
            route.continue_()
        else:
            route.fulfill(status=503, json=dict(error=dict(code=code, message=message)))
    page.route(pattern, answer)
    return noted


def test_a_busy_server_is_asked_again_after_a_pause_alone(server, visit):
    page = visit(server, allowed='503')
    asked = refusing(page, '**/api/search?*', 'busy', 'many wait; try again in a moment', times=1)
    page.clock.install()
    page.fill('#q', 'a red ring')
    page.clock.run_for(500)
    waits(page, '#count', 'Many wait; try again in a moment.')
    page.evaluate('fetch("/api/status")')  # whatever else was on its way has come
    assert len(asked) == 1
    page.clock.run_for(2500)
    page.locator('.card').first.wait_for()
    assert len(asked) >= 2


def test_what_is_wrong_with_the_server_is_told_apart(server, visit):
    page = visit(server, allowed='503')
    for code, title in (('failed', 'The index cannot be searched'),
                        ('busy', 'The server cannot answer at present')):
        page.unroute('**/api/status')
        refusing(page, '**/api/status', code, 'so it is')
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        waits(page, '#notice-title', title)
        contrast, text = page.evaluate(browsers.LEAST_CONTRAST)
        assert contrast >= 4.5, text
    # what is said already is not read out again
    page.evaluate("""() => {
      window.changes = 0;
      new MutationObserver(() => { window.changes += 1; }).observe(
        document.getElementById('notice'), { subtree: true, childList: true });
    }""")
    with page.expect_response('**/api/status'):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate('fetch("/icon.svg")')
    assert page.evaluate('window.changes') == 0


def test_an_upload_that_breaks_off_is_said(server, visit, library):
    page = visit(server, allowed='ERR_CONNECTION_RESET')
    page.route('**/api/uploads', lambda route: route.abort('connectionreset'))
    page.set_input_files('#file', library / 'videos' / 'old.avi')
    waits(page, '#notice-title', 'could not be sent')


def test_a_picture_that_was_not_to_be_had_is_asked_for_again(server, visit):
    page = visit(server, allowed='503')
    asked = refusing(page, '**/thumbnail', 'busy', 'many wait', times=4)
    page.fill('#q', 'a red ring')
    page.locator('.card').first.wait_for()
    until(page, """[...document.querySelectorAll(".play img")].slice(0, 4).every(
                   (one) => one.naturalWidth && one.checkVisibility())""")
    assert page.locator('.missing:visible').count() == 0
    assert len(asked) > 4


_DRAG = """([kind, isFile]) => {
  const dataTransfer = new DataTransfer();
  if (isFile) dataTransfer.items.add(new File(['no video'], 'letter.mp4'));
  else dataTransfer.setData('text/plain', 'a word');
  const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def test_a_video_can_be_dropped_on_the_player_and_a_word_into_the_field(server, visit):
    page = visit(server, '/?q=a+red+ring', allowed='422')
    page.locator('.play').first.wait_for()
    page.focus('#q')
    assert not page.evaluate(_DRAG, ['dragover', False])
    assert not page.evaluate(_DRAG, ['drop', False])
    play(page, 'plain.mp4')
    page.evaluate(_DRAG, ['dragenter', True])
    assert page.evaluate("""() => {
      const box = document.querySelector('#drop p').getBoundingClientRect();
      document.getElementById('drop').style.pointerEvents = 'auto';  // to be found
      return document.elementFromPoint(box.x + 5, box.y + 5).closest('#drop') !== null;
    }""")
    assert page.evaluate(_DRAG, ['drop', True])
    page.locator('#player').wait_for(state='hidden')
    waits(page, '#notice-title', 'cannot be searched by')


def test_arrows_go_on_from_any_button_of_a_moment(server, visit):
    page = visit(server, '/?q=a+red+ring')
    until(page, "document.querySelectorAll('.play').length >= 12")
    page.locator('.like').nth(1).focus()
    page.keyboard.press('ArrowRight')
    assert page.evaluate('document.activeElement.dataset.id') == ids(page)[2]


def test_the_focus_goes_on_where_what_had_it_has_gone(server, visit):
    page = visit(server, '/?q=a+red+ring')
    until(page, "document.querySelectorAll('.play').length >= 12")
    page.locator('.like').nth(1).press('Enter')
    until(page, "document.activeElement.id === 'origin'")
    page.keyboard.press('ArrowDown')
    assert page.evaluate('document.activeElement.dataset.id') == ids(page)[0]
    before = page.url
    page.keyboard.press('Enter')
    page.locator('#player').wait_for()
    page.locator('#player-like').press('Enter')
    until(page, "before => location.href !== before && document.activeElement.id === 'origin'",
          arg=before)
    page.locator('#player').wait_for(state='hidden')
    page.select_option('#length', '3600-')
    page.locator('#notice-action').wait_for()  # press does not wait until it is seen
    page.locator('#notice-action').press('Enter')
    until(page, "document.activeElement.id === 'q'")


@pytest.mark.parametrize('link', ['clip=x', 'upload=12', f'upload={"0" * 32}'])
def test_a_link_to_what_is_not_there_leads_back(server, visit, link):
    page = visit(server, f'/?{link}', allowed='400|404')
    waits(page, '#notice-title', 'no longer there')
    page.click('#notice-action')
    until(page, "document.body.classList.contains('start')")
    assert page.locator('#notice').is_hidden()


def test_what_a_link_has_wrong_beside_the_question_is_left_out(server, visit):
    page = visit(server, '/?q=a+red+ring&length=abc&play=x', allowed='404')
    page.locator('.card').first.wait_for()
    assert page.input_value('#length') == ''
    waits(page, '#player-wait', 'There is no such moment')
    assert shown(page, '#player-name') == 'A moment'
