"""Side-by-side measurements, one file a subject; each prints a table and, as its last line, one JSON object."""
