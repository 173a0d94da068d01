"""Exports a Keras model as a folder that a browser can run from, without a server."""
