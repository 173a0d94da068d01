"""Side-by-side measurements, one file a subject; each ends with a table and one JSON line."""
