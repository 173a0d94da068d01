"""One module for each page: it takes a Site and a query and returns HTML. Routes and errors are app.py's."""
