"""The bytes between client, relay and replicas: frames, envelopes, sealed sessions, messages and replica links. Pure."""
