"""HSM-based backup key vault: a backup key, kept by a fleet of PKCS#11 tokens, released to account and recovery code."""

__version__ = "0.1.0"
