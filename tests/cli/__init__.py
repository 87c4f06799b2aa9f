"""The specification of the command `wsgibg`."""
