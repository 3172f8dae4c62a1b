# The same with positions that weigh about as much as frames. Those that come from the text tower
# have a standard deviation of 0.03, frames of 1.4.
_base_ = ['transformer.py']

model = dict(neck=dict(position_std=1.0))
