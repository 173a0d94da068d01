"""The REST API: routes and JSON, and the HTTP connections under them."""
