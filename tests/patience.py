"""How long tests wait for what has to come."""

from __future__ import annotations

# Seconds until a process, a port, a page or a screen that does not come is a failure. Only what hangs needs them: a
# machine may be slow, may be shared, and may leave a process without a core for a while. pytest ends a test after 900.
PATIENCE = 240.0
