"""How sure a measured number is: resampling rows, intervals, and the verdicts that a gate draws from them."""
