"""TFX components of ours, one folder each: component.py (the node) and executor.py (the work).

What siblings share lies on top: shards (tasks, publishing), records (tf.Examples in files), splitting (which rows go
together), user_code (functions of projects), progress.
"""
