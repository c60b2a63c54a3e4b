"""The Pulumi program of a satellite: settings -> network -> instances -> hosts -> releases."""
