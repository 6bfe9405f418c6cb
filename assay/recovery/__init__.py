"""How fast a platform can recover at all: floors that follow from its settings, before anything is broken.

| noun | is |
| --- | --- |
| `setting` | one setting that decides recovery, as it was found; or why it was not |
| `document` | small questions to the document of live settings that stands in a run's evidence |
| `reading` | that document → the settings |
| `phases` | what a recovery goes through, and how long the settings alone take for each |
| `floors` | the settings → the floor of every fault |
| `feasibility` | floors and objectives → which objective can't be kept, and which setting to change to what |

All of it is pure. Floors and their sources are explained in docs/recovery.md.
"""
