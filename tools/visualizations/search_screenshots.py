"""Take the pictures of the page of search in docs/: light, dark and narrow.

    python tools/visualizations/search_screenshots.py --index my.index --query "a red ring"

Needs chromium (apt-get install chromium) and playwright's Python package.
"""
import io
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, non_blank, run

_SIZES = {'search': (1240, 800, 'light'), 'search_dark': (1240, 800, 'dark'),
          'search_narrow': (360, 740, 'light')}


def take(browser: Any, url: str, query: str, out: Path) -> None:
    """Take all pictures."""
    for name, (width, height, scheme) in _SIZES.items():
        page = browser.new_page(viewport=dict(width=width, height=height), color_scheme=scheme,
                                device_scale_factor=1 if width > 500 else 2)
        page.goto(url)
        page.fill('#q', query)
        page.keyboard.press('Enter')
        page.locator('.play').first.wait_for()
        page.evaluate('document.activeElement.blur()')
        page.wait_for_load_state('networkidle')
        _wait_for(page, "[...document.querySelectorAll('.play img')].every((one) => "
                        'one.naturalWidth || one.getBoundingClientRect().top > innerHeight)')
        if scheme == 'dark':
            page.locator('.play').first.click()
            page.wait_for_timeout(1000)
            page.evaluate("document.getElementById('video').pause()")
            page.wait_for_timeout(500)
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.convert('RGB').quantize(128).save(out / f'{name}.png', optimize=True)
        page.close()


def _wait_for(page: Any, expression: str) -> None:
    """Wait until something is so on a page whose policy forbids evaluating texts in it."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(f'the page never came so far that {expression}')
        time.sleep(0.05)


def main() -> None:
    """Serve an index, look at it, and end."""
    parser = Parser(__doc__)
    parser.add_argument('--index', type=Path, required=True, help='file of the index')
    parser.add_argument('--query', type=non_blank, default='a red ring moves left',
                        help='what to look for')
    parser.add_argument('--out', type=Path, default=Path('docs'), help='folder; default docs')
    args = parser.parse_args()
    if not args.index.is_file():
        raise FileNotFoundError(f"there is no index '{args.index}'")
    from playwright.sync_api import sync_playwright

    from mmc2v.search import VideoSearch
    from mmc2v.search.web import Access, Limits
    from mmc2v.search.web.app import SearchServer
    from mmc2v.search.web.server import listening, make_server
    chromium = shutil.which('chromium')
    if chromium is None:
        raise FileNotFoundError('there is no chromium: apt-get install chromium')
    with listening(Access(port=0)) as listener:
        access, limits = Access(port=listener.getsockname()[1]), Limits()
        server = make_server(SearchServer(VideoSearch(args.index), access, limits), access, limits)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium,
                                                     args=['--no-sandbox'])
                take(browser, f'http://127.0.0.1:{access.port}/', args.query, args.out)
                browser.close()
        finally:
            server.should_exit = True
            thread.join()


if __name__ == '__main__':
    run(main)
