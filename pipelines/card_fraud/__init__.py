"""Which card transactions are fraudulent? An autoencoder that has only seen normal ones."""
