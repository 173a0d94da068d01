"""Which stars have a planet? Boosted trees and random forests on what a light curve shows."""
