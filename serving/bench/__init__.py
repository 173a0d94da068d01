"""`viaduct bench-serving`: requests, closed-loop load and the report on a running server."""
