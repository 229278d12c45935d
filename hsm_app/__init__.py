"""HSM-based backup key vault: a backup key, held by a fleet of PKCS#11 tokens, released to account and code."""

__version__ = "0.1.0"
