"""The warm process that has imported the stack and forks a child for each call: its server and its client."""
