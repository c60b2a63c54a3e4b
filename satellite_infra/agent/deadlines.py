"""How long things may take, in seconds: a release's unit has all of its parts together."""

FETCH_LIMIT = 900  # each conversation with a git server
BUILD_LIMIT = 3600  # each command of the build
PHASE_LIMIT = 3600  # the release phase
# What a person asks of workers waits for the app's lock no longer: long enough for another such
# request or a recovery, and before `satellite` gives the host up, so that nothing happens later.
LOCK_LIMIT = 30
