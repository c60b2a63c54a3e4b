"""`satellite` beside other deploy tools, on the same hosts in one series."""
