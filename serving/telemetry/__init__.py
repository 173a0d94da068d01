"""What those who run a server see: metrics, the access log, sampled logs of requests."""
