"""The record: who may recover what how often, its tickets and seals, and the client's half of the same rules. Pure."""
