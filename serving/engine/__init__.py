"""One SavedModel: loading it, checking what is asked of it, calling it. The part of TensorFlow that takes."""
