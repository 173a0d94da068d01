"""What projects about tables share: missing values, calendar parts, raw-feature signatures, files of rows.

Functions that a project calls or leaves; nothing here knows a project.
"""
