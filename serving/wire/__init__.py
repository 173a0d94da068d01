"""TensorFlow Serving's messages without TensorFlow: loading them, cheaper twins of them, tensors, model specs."""
