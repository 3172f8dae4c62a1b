# The same as tdb.py for as many steps as transformer_long.py.
_base_ = ['tdb.py']

train_cfg = dict(max_iters=1440, val_interval=80)
