"""Which piece of clothing is it, and how would it look a little other? Capsule networks on 28 x 28 grey images."""
