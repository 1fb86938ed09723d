"""Where bodies run: in threads and in processes that can be killed; and where their output goes."""
