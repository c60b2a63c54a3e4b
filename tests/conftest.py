"""What all tests share: no test sees the developer's own Pulumi, AWS or SSH settings."""

from __future__ import annotations

import os

# The lab sets these on purpose, for the tests inside it.
if "SATELLITE_LAB" not in os.environ:
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "AWS_"))]:
        del os.environ[name]
    os.environ.pop("SSH_AUTH_SOCK", None)
