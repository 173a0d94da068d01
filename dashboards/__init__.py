"""Dashboards: runs, data, models, lineage and serving in a browser, read-only and offline.

Reads ML Metadata, artifacts and run records; never imports TensorFlow, TFX, TFDV or TFMA: their files are read
as the protos and TFRecords they are, so that the server starts in a second and stays small.
"""
