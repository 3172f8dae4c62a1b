"""From a data set's official files, or one's own, to annotations: what the converters share."""
from mmc2v.strict_text import read_json

from .command_line import convert, converter_parser, run, run_tool
from .conversion import Conversion
from .own_data import RandomSplit, read_own_data
from .reading import read_list, read_table, read_word_lists
from .report import Published

__all__ = ['Conversion', 'Published', 'RandomSplit', 'convert', 'converter_parser', 'read_json',
           'read_list', 'read_own_data', 'read_table', 'read_word_lists', 'run', 'run_tool']
