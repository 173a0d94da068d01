"""Where a call runs: on the event loop, in a thread, or in a batch with others."""
