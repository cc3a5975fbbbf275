"""The few facts that all nodes share: what is good once, revocations, rates, leases."""
