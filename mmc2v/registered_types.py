"""What registered classes are called and which arguments they take, for messages about configs."""
import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from mmengine import registry as roots
from mmengine.registry import Registry

# Roots of all that a config's components may be registered in.
ROOTS = (roots.MODELS, roots.DATASETS, roots.TRANSFORMS, roots.HOOKS, roots.METRICS, roots.LOOPS,
         roots.OPTIMIZERS, roots.OPTIM_WRAPPERS, roots.PARAM_SCHEDULERS, roots.DATA_SAMPLERS,
         roots.EVALUATOR, roots.MODEL_WRAPPERS, roots.LOG_PROCESSORS, roots.VISUALIZERS,
         roots.VISBACKENDS)

# Keys of components that MMEngine takes out before it builds them.
TAKEN_OUT = ('type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg',
             'convert_to_iter_based')


class Arguments(NamedTuple):
    """The arguments of a class.

    Attributes:
        names (set[str]): Those with names, of the class and of what it inherits from.
        is_open (bool): Whether it takes others as well.
    """

    names: set[str]
    is_open: bool


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``"; did you mean 'x'?"``, or nothing where no known name resembles it.

    Args:
        name (str): What a user wrote.
        known (Iterable[str]): What could have been meant.
        cutoff (float): Least similarity in [0, 1]. Defaults to 0.6.
    """
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean '{nearest[0]}'?" if nearest else ''


def accepted_arguments(kind: Callable) -> Arguments:
    """Return the arguments that a class or function takes.

    ``**kwargs`` of a class are taken for arguments of the classes it inherits from.
    """
    functions = [vars(base)['__init__'] for base in inspect.getmro(kind)
                 if '__init__' in vars(base) and base is not object] \
        if inspect.isclass(kind) else [kind]
    names: set[str] = set()
    for function in functions:
        parameters = list(inspect.signature(function).parameters.values())
        names |= {parameter.name for parameter in parameters
                  if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return Arguments(names - {'self'}, False)
    return Arguments(names - {'self'}, True)


def find_type(name: Any, scope: str = 'mmaction') -> Optional[Callable]:
    """Return what a config's ``type`` names, from whichever registry has it, or None.

    Args:
        name (Any): As in a config, ``mmc2v.CLIP2Video``; or the class itself.
        scope (str): Where names without a scope are looked for first. Defaults to 'mmaction'.
    """
    if not isinstance(name, str):
        return name if callable(name) else None
    for root in ROOTS:
        with root.switch_scope_and_registry(scope) as registry:
            found = registry.get(name)
        if found is not None:
            return found
    return None


def unknown_type(name: Any, registry: Registry) -> str:
    """Say that a registry lacks the type that a config asks for, and which it has instead."""
    return (f"the config asks for the type '{name}', which no {registry.name} registry has"
            + did_you_mean(str(name), known_types(registry)))


def known_types(registry: Registry) -> set[str]:
    """Return the names in a registry's tree, with their scope and, where it is ours, without."""
    root = registry
    while root.parent is not None:
        root = root.parent

    def names(part: Registry) -> Iterator[str]:
        for name in part.module_dict:
            yield f'{part.scope}.{name}'
            if part in (registry, root):
                yield name
        for child in part.children.values():
            yield from names(child)

    return set(names(root))


def first_unknown(node: Any, known: Collection[str]) -> Optional[str]:
    """Return a type that a part of a config names and that is not known, or None.

    MMEngine would import and call anything that has a name with a dot in it.

    Args:
        node (Any): Dicts and lists, nested.
        known (Collection[str]): Names, see :func:`known_types`.
    """
    for part in dicts_in(node):
        if 'type' in part and not (isinstance(part['type'], str) and part['type'] in known):
            return str(part['type'])
    return None


def dicts_in(node: Any) -> Iterator[Mapping]:
    """Yield all dicts of a part of a config, nested ones included."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield part
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part
