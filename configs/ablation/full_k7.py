# CLIP2Video with 7 shared centres.
_base_ = ['full.py']

model = dict(head=dict(alignment=dict(num_centers=7)))
