"""The commands of `assay`, one file a noun: each a thin layer of options over what does the work.

What a command needs is imported when it runs, so that the others, and `--help`, start without it.
"""
