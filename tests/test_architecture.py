"""The picture of the code in docs/architecture.md, held against its imports."""
import ast
import re
from pathlib import Path

from .tiny import ROOT

# From the top to the bottom; modules at the top of the package that are not named are the bottom.
LAYERS = [['tools'], ['mmc2v/engine', 'mmc2v/search', 'mmc2v/benchmarks'], ['mmc2v/apis'],
          ['mmc2v/export'],
          ['mmc2v/models', 'mmc2v/datasets', 'mmc2v/evaluation', 'mmc2v/user_errors'],
          ['mmc2v/video', 'mmc2v/synthetic'], ['mmc2v']]
PLACES = {place: -height for height, layer in enumerate(LAYERS) for place in layer}


def place_of(path):
    """Return the longest place that a file, without its extension, lies in."""
    return max((place for place in PLACES if f'{path}/'.startswith(f'{place}/')), key=len)


def imports_of(path):
    """Yield the modules of mmc2v that a file imports anywhere, as paths without extension."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[:-node.level] if node.level else ()
            module = '.'.join([*package, *filter(None, [node.module])])
            names = [f'{module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            found = Path(*name.split('.'))
            while name.startswith('mmc2v.') and found.parts and not (
                    (ROOT / found).with_suffix('.py').is_file() or (ROOT / found).is_dir()):
                found = found.parent
            if name.startswith('mmc2v.') and found != Path('mmc2v'):
                yield found


def test_no_import_goes_upwards_or_aside():
    wrong, seen = [], 0
    for path in sorted((ROOT / 'mmc2v').rglob('*.py')):
        here = place_of(path.relative_to(ROOT).with_suffix(''))
        for imported in imports_of(path):
            there = place_of(imported)
            seen += 1
            if here != there and PLACES[there] >= PLACES[here]:
                wrong.append(f'{path.relative_to(ROOT)} imports {imported}')
    assert seen > 300
    assert not wrong


def test_every_place_that_the_page_names_is_there():
    page = (ROOT / 'docs' / 'architecture.md').read_text()
    named = re.findall(r'`((?:mmc2v|tools|configs|tests)/[\w/.-]*)`', page)
    assert len(named) > 25
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_function_bodies_fit_on_a_page():
    long = []
    for path in [*(ROOT / 'mmc2v').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[ast.get_docstring(node) is not None:]
                if body and body[-1].end_lineno - body[0].lineno >= 45:
                    long.append(f'{path.relative_to(ROOT)}: {node.name}')
    assert long == []
