"""The benchmarks of `make bench`: cradle against rsync, Unison and sz/rz, pair by pair. Not installed."""
