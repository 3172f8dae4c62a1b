"""From a data set's official files to annotations: what the converters share."""
from .conversion import Conversion, Published, run
from .reading import read_json, read_list, read_table, read_word_lists

__all__ = ['Conversion', 'Published', 'read_json', 'read_list', 'read_table', 'read_word_lists',
           'run']
