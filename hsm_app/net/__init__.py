"""Sockets of the programs: framed connections with limits, time-outs and back-pressure over TCP or a Unix socket."""
