"""Refuses a hook of former configs."""
from mmengine.hooks import Hook

from mmc2v.registry import HOOKS


@HOOKS.register_module()
class RetrievalPictureHook(Hook):
    """Drew queries after testing; a config that names it is told what does so now.

    Raises:
        ValueError: Always.
    """

    def __init__(self, **kwargs) -> None:
        raise ValueError('mmc2v.RetrievalPictureHook is no hook any more: take it out of the '
                         "config's custom_hooks, and draw by tools/test.py --show-dir, or from "
                         'a dump by tools/visualizations/draw_retrieval.py')
