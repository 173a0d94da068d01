"""Which models are served: their configuration, loading and warming up versions, watching their folders."""
