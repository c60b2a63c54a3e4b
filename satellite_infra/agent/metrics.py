"""What CloudWatch knows the queue's numbers by: who tells them and who watches them say the same.

Imports nothing: an alarm is declared on a machine that measures no queue.
"""

from __future__ import annotations

NAMESPACE = "Satellite"
DEPTH, AGE = "QueueDepth", "QueueAge"


def dimensions(app: str, environment: str, queue: str) -> dict[str, str]:
    """What tells these numbers from those of others."""
    return {"App": app, "Environment": environment, "Queue": queue}
