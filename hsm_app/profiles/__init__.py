"""What devices offer of what the vault needs, as data with sources: read from documents, or tried. Pure."""
