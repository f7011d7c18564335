"""What is seen of calls while a program runs, for watch."""
