"""A/B tests between two versions on what users did: who was asked by which, what became of it, and what that shows."""
