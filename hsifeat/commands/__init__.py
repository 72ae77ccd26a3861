"""Commands of the command line. Each command parses its options, calls a library function and prints the result."""
