"""The flight recorder: the newest seconds in memory, and snapshots of them on disk when something went wrong."""
