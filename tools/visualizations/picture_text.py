"""Text that fits into a picture, measured in the font it is drawn in."""
import functools

from matplotlib.font_manager import findfont
from PIL import ImageFont


@functools.lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib brings along; a letter that it lacks becomes a box."""
    return ImageFont.truetype(findfont('DejaVu Sans'), size)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break text into lines; nothing of it is left out.

    Args:
        text (str): Any white space counts as a blank.
        face (ImageFont.FreeTypeFont): Font.
        width (int): Of a line, in pixels. A word that is wider is broken within.

    Returns:
        list[str]: At least one line.
    """
    lines = ['']
    for word in text.split():
        joined = f'{lines[-1]} {word}'.lstrip()
        if face.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append('')
        for letter in word:
            if lines[-1] and face.getlength(lines[-1] + letter) > width:
                lines.append('')
            lines[-1] += letter
    return lines


def shorten(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """Take letters out of the middle until text fits.

    Args:
        text (str): One line, such as a file name.
        face (ImageFont.FreeTypeFont): Font.
        width (int): In pixels.

    Returns:
        str: The text, or its beginning and end with '…' between.
    """
    shown, kept = text, len(text)
    while face.getlength(shown) > width and kept > 1:
        kept -= 1
        shown = f'{text[:(kept + 1) // 2]}…{text[len(text) - kept // 2:]}'
    return shown
