"""The nouns of TensorFlow Serving: servable, source, version policy, manager. Standard library only."""
