"""The `satellite` command: what people do every day with a stack and its hosts."""
