# The same as transformer.py for four times the steps: whether faint positions are learned late or
# not at all.
_base_ = ['transformer.py']

train_cfg = dict(max_iters=1440, val_interval=80)
