"""Which digit is it? Three classifiers of 28 x 28 grey images, from eight lines of algebra to a small CNN."""
