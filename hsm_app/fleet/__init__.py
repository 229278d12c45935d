"""What a fleet is: its manifest, which of its replicas serves a record, and whose account tokens it takes. Pure."""
