"""Stores of events: what a run is, on disk or in memory. `port` says what every journal promises."""
