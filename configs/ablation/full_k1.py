# CLIP2Video with 1 shared centre.
_base_ = ['full.py']

model = dict(head=dict(alignment=dict(num_centers=1)))
