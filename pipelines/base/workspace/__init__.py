"""`viaduct init`: a folder of a user's own, whose projects the platform finds (see pipelines/__init__.py).

making.py fills it from the templates beside it. Nothing that a project or a run needs is here.
"""
