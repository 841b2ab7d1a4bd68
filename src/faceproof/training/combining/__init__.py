"""Several detectors become one: whose answers weigh how much, calibrated as one."""
