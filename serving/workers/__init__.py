"""Several server processes on the same ports, and the supervisor that makes them one server (`--workers N`)."""
