"""Commands of the command line: each one parses its options, calls one library function and shows the result."""
