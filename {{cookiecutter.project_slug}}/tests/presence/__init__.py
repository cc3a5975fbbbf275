"""What every presence store promises, and what is each one's own."""
