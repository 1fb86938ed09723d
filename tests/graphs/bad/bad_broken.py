"""A module that does not import."""

import bad_tasks

bad_tasks.no_such_function()
