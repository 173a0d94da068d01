"""The dress rehearsal before a push: the model answers recorded requests on a real server beside the served one."""
