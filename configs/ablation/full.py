# CLIP2Video: TDB, and TAB whose coarse branch has differences too.
_base_ = ['tdb.py']

model = dict(
    neck=dict(local_branch=dict(type='mmc2v.DifferenceLocalBranch')),
    head=dict(
        global_weight=0.5,
        alignment=dict(type='mmc2v.TemporalAlignmentBlock', num_centers=5)))
