"""Is this sentence positive or negative? A small recurrent network that also runs in a web page."""
