"""One experiment many times: a recovery time is a distribution, and one lucky run is no result.

| noun | is |
| --- | --- |
| `quantile` | quantiles of few values, and how sure one can be of them |
| `outcome` | how one run ended, as its verdict says |
| `series` | the runs of a campaign, and what they amount to |
| `record` | the campaign's folder, so that it can be gone on with |
| `running` | run after run, with a look at the platform's health in between |
| `page` | the report |
"""
