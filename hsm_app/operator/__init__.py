"""The operator's own programs: today the making of a development fleet; ceremonies with custodians build on it."""
