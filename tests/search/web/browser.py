"""A real browser: Debian's chromium, driven by playwright, whose own download is not needed."""
import contextlib
import os
import shutil

import pytest

from .common import host_of

NEEDED = 'a real browser (apt-get install chromium; pip install playwright)'
_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')


@contextlib.contextmanager
def started():
    """Start one; where there is none, tests are skipped, and fail where everything has to run."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        (pytest.fail if os.environ.get('CI') else pytest.skip)(f'there is no {NEEDED[2:]}')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[
            '--no-sandbox', '--autoplay-policy=no-user-gesture-required'])
        yield browser
        browser.close()


class Watch:
    """What a page says on its console, and whom it asks.

    Attributes:
        faults (list[str]): Errors, warnings, and requests to other hosts.
    """

    def __init__(self, page, server):
        self.faults = []
        own = host_of(server.url)
        page.on('console', lambda message: message.type in ('error', 'warning')
                and not server.server.should_exit  # then it cannot be reached
                and self.faults.append(f'{message.type}: {message.text}'))
        page.on('pageerror', lambda error: self.faults.append(f'error: {error}'))
        page.on('request', lambda request: host_of(request.url) not in (own, '')
                and self.faults.append(f'asks {request.url}'))


# Of the text of a page that is seen: the least contrast, and where.
LEAST_CONTRAST = """() => {
  const parse = (colour) => {
    const found = colour.match(/[\\d.]+/g).map(Number);
    return found.length < 4 ? [...found, 1] : found;
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const light = (colour) => colour.map((v) => v / 255).map(
    (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  ).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const seen = (element) => element.checkVisibility({ opacityProperty: true })
    && !element.closest('.unseen, :disabled, video');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = [99, ''];
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || !seen(element)) continue;
    const below = behind(element);
    const [a, b] = [light(over(parse(getComputedStyle(element).color), below)), light(below)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, node.textContent.trim()];
  }
  return least;
}"""

# What can be used and has no name for those who do not see it.
NAMELESS = """() => [...document.querySelectorAll('button, a, input, select, dialog, progress')]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.getAttribute('aria-label') || element.textContent.trim()
    || [...(element.labels || [])].some((label) => label.textContent.trim())
    || document.getElementById(element.getAttribute('aria-labelledby') || '')))
  .map((element) => element.outerHTML)"""

# The colour of the middle of the video that plays.
COLOUR = """() => {
  const [canvas, video] = [document.createElement('canvas'), document.getElementById('video')];
  [canvas.width, canvas.height] = [8, 8];
  canvas.getContext('2d').drawImage(video, 0, 0, 8, 8);
  return [...canvas.getContext('2d').getImageData(4, 5, 1, 1).data].slice(0, 3);
}"""
