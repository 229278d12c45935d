"""The command line. Each module parses, wires and calls; decisions live in the rooms below."""
