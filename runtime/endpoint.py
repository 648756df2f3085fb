"""Where a daemon answers `handmap status`: a socket beside the telemetry port, which clients of that port cannot occupy."""


def status_address(port: int) -> str:
    """The abstract Unix address of the daemon with this telemetry port; it exists as long as the daemon listens."""
    return f"\0handmap-status-{port}"
