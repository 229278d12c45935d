"""The relay: the public front door. It forwards sealed frames to replicas and can read none of them."""
