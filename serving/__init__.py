"""A model server that speaks the protocol of TensorFlow Serving, and its client. Never imports TFX."""
