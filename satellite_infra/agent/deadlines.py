"""How long the parts of a release may take, in seconds: its unit has all of them together."""

FETCH_LIMIT = 900  # each conversation with a git server
BUILD_LIMIT = 3600  # each command of the build
PHASE_LIMIT = 3600  # the release phase
