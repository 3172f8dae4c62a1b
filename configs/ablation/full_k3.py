# CLIP2Video with 3 shared centres.
_base_ = ['full.py']

model = dict(head=dict(alignment=dict(num_centers=3)))
