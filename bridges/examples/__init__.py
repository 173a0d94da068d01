"""tf.Examples without TensorFlow: from Arrow columns to their bytes, and what a signature parses of them."""
