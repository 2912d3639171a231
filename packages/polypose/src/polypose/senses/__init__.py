"""Any number of ways of seeing a pose in one space, any of them missing: fused, decoded, measured."""
