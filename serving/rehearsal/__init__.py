"""A dress rehearsal: a version answers recorded requests on a server of its own before it gets any traffic."""
