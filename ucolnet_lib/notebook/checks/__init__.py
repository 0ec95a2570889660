"""The checks of the course's exercises: one file a notebook, named as its subject.

    from ucolnet_lib.notebook.checks import cielab as check
    check.half_light(my_answer)

A check prints whether the answer is right, with a hint where it is not, and returns True or False. It never gives the
answer away and never raises: cells whose exercises nobody has tried yet run too.
"""
