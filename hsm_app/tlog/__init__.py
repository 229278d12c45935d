"""The public log of fleet keys: C2SP's formats and RFC 9162's Merkle tree. Pure; one module for each specification."""
