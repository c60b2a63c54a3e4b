"""What the workflows in .github/workflows/ run: a door for SSH, and the pull request's comment."""
