"""Shared plumbing of the processes: servers, channels, identity, errors, settings, logs.

Here gRPC meets the rest: what a peer may learn about an error, who is calling, what
a log line may hold. No rule of the federation is decided here. The rule of the room:
whatever leaves a process, on the wire or in a log, has been let out by name.
"""
