"""The specification of `wsgibg._aio`: coroutines for threads that have no event loop."""
