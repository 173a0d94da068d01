"""An executor of ours under TFX's Evaluator: in process over whole columns, with intervals and an honest gate."""
