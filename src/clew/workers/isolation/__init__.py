"""Steps that run with limits: what they may use is bounded for all their processes, measured, and gone afterwards.

From the outside in: `running` and `jobs` run a program or a Python function; `warden` starts a keeper for each;
`keeper` is the parent of the step's processes and sees to the limits; `launch` is what the step's first process
does to itself before it becomes the program. `docs/isolation.md` says what holds on which machine.
"""
