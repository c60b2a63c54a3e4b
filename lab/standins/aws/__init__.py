"""Stand-in for the AWS provider 7.51.1: what this project uses of it, over boto3."""
