_base_ = 'mmaction::_base_/default_runtime.py'
