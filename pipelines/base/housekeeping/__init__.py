"""What lies under HOME, what of it may go, and taking it away so that nothing is lost by a mistake or a kill.

`planning` says what goes and why the rest stays, `applying` does it, `trash` keeps it for a week, `sizes` counts.
"""
