"""The verbs of the command line: each parses, calls one library function and shows the result."""
