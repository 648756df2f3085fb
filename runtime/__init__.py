"""The daemon around the library: cameras, loop, publishing, and the tools to record, check and measure."""
