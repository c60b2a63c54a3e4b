"""An app that counts the words of texts, one job after the other."""
