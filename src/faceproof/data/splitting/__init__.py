"""Split: four parts that share no picture, near-duplicate or group.

* `divide`: the whole of it; `related`: clusters of what must stay together; `remembered`: splits
  of the time before; `stratified`: quotas of every stratum
* `protocols`: one generator or source left out, as files for others
* `splits`: shares, and the hash that proposes
"""
