"""Which German traffic sign is it, and how sure is that? A Bayesian LeNet whose doubt is part of its answer."""
