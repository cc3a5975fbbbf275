"""What durable history costs on each database: publishes, deliveries, and long channels."""
