"""The node Tuner: hyper-parameters chosen by trials, as TFX's Tuner gives them to the Trainer."""
