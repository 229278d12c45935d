"""A witness: cosigns the checkpoints of logs that it knows, each only when it continues what it saw before."""
