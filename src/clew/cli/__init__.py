"""The command line: a face of the engine for people at a terminal and for scripts."""
