"""What nodes do: functions, shell commands and HTTP calls, and what a function sees of the engine."""
