"""Search from any folder: python -m mmc2v.search index ~/Videos --index my.index."""
import runpy
import sys

from mmc2v.installed import folder_of

if __name__ == '__main__':
    script = str(folder_of('tools') / 'search.py')
    sys.argv[0], sys.path[0] = script, str(folder_of('tools'))
    runpy.run_path(script, run_name='__main__')
