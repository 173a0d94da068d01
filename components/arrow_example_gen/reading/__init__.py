"""Reading of ArrowExampleGen: files to Arrow columns of few kinds, and the words for what cannot be read."""
