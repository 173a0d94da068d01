"""The closed loop: what a served model is asked is held against what it learnt from, and a new one trained when due."""
