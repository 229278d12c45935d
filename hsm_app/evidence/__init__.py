"""Evidence of how a fleet was made: the statement over its files, who signed what, and what devices attest. Pure."""
