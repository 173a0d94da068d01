"""Items a visitor of a shop will look at next, from what visitors have viewed, put in carts and bought."""
