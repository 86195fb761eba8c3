#!/bin/sh
# Riak's administration, whatever the version calls it.
if command -v riak-admin >/dev/null 2>&1; then
  exec riak-admin "$@"
fi
exec riak admin "$@"
