"""What it costs that publisher and recipients are on two nodes, which one Redis connects."""
