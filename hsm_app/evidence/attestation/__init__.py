"""What makers of HSMs let a device say about a key, each maker's format in a module of its own. Pure."""
