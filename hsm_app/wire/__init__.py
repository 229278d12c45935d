"""The bytes between client, relay and replicas: frames, envelopes, sessions, messages and replica links. Pure."""
