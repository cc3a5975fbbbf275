"""The few facts that all nodes share: tickets, revocations, rates, leases."""
