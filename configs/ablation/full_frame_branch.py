# TDB, and TAB whose coarse branch has frames alone.
_base_ = ['full.py']

model = dict(neck=dict(local_branch=dict(_delete_=True, type='mmc2v.FrameLocalBranch')))
