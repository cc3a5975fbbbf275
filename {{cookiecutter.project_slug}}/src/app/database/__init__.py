"""What is kept for good: the engine, the tables, and the migrations that lead to them."""
