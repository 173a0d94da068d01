"""TFX components of ours, one folder each: component.py (the node) and executor.py (the work)."""
