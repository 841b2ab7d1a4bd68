"""Split: four parts that share no picture, near-duplicate or group.

* `split`: a manifest divided, with clusters of what must stay together and earlier splits
* `stratified`: shares, the hash that proposes, and quotas of every stratum
* `protocols`: one generator or source left out, as files for others
"""
