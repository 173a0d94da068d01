"""shoe_bags: a bag for a shoe and a shoe for a bag, learned without pairs."""
