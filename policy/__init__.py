"""What no stack may declare: the rules, and the pack that has Pulumi apply them."""
