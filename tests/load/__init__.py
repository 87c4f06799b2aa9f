"""The long runs: many requests on real servers, by hand (`tox -e load`)."""
